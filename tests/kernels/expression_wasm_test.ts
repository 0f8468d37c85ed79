// Expressions in WebAssembly: what the random trees of expression_trees_test.ts do not show.
import assert from "node:assert/strict";
import * as e from "../../kernels/expression/expression.ts";
import { toWasm, toWasmCondition, type VectorTables } from "../../kernels/expression/wasm.ts";
import { type Func, load, type V128, wasmModule } from "../../src/wasm/mod.ts";

const [x, y] = [e.variable("x"), e.variable("y")];

/** The lanes of what `write` computes from x and y. */
function lanesOf(write: (f: Func, x: V128, y: V128) => V128, xs: number[], ys: number[] = xs): Uint32Array {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const module = wasmModule({ memory: { initial: 1, maximum: 1, shared: false } });
  module.export(
    "run",
    module.func({ params: [] }, (f) => f.store(32, write(f, load("v128", 0), load("v128", 16)))),
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.binary()), { env: { memory } });
  new Float32Array(memory.buffer).set([...xs, ...ys]);
  (exports.run as () => void)();
  return new Uint32Array(memory.buffer, 32, 4).slice();
}

const floatsOf = (bits: Uint32Array) => [...new Float32Array(bits.buffer)];

Deno.test("a part that occurs more than once is computed once", () => {
  let reads = 0;
  const tables: VectorTables = {
    table: (index) => {
      reads++;
      return index;
    },
  };
  const entry = e.lookup("table", [9], e.exp(x));
  const sum = e.plus(e.times(entry, entry), e.select(e.less(entry, y), entry, e.tanh(entry)));
  lanesOf((f, x, y) => toWasm(sum, f, { x, y }, tables), [0, 1, 2, 3]);
  assert.equal(reads, 1);
});

Deno.test("a condition is a mask of the lanes where the expression is not 0; NaN is not 0", () => {
  const xs = [NaN, -0, 2, -Infinity];
  const all = 0xffffffff;
  const mask = (c: e.Expression) => [...lanesOf((f, x) => toWasmCondition(c, f, { x }), xs)];
  assert.deepEqual(mask(x), [all, 0, all, all]);
  assert.deepEqual(mask(e.less(x, 1)), [0, all, 0, all]);
  assert.deepEqual(mask(e.equal(e.less(x, 1), 0)), [all, 0, all, 0]);
});

Deno.test("a product that is added, and one that is kept as well, give their values", () => {
  const product = e.times(x, y);
  const both = e.plus(e.times(product, product), e.minus(product, e.times(2, x)));
  const [xs, ys] = [[1, 2, 3, 4], [5, 6, 7, 8]];
  const expected = xs.map((x, i) => (x * ys[i]) ** 2 + x * ys[i] - 2 * x);
  assert.deepEqual(floatsOf(lanesOf((f, x, y) => toWasm(both, f, { x, y }), xs, ys)), expected);
});
