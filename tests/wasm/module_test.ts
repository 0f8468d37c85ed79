// Functions, control flow, constants in memory and atomics of the assembler.
import assert from "node:assert/strict";
import * as w from "../../src/wasm/mod.ts";
import { atomic, f32x4, i32, load } from "../../src/wasm/mod.ts";

type Run = (...xs: number[]) => number;

/** A module with one exported function. */
function compile<const P extends readonly w.Type[], R extends w.Type | undefined = undefined>(
  signature: w.Signature<P, R>,
  body: Parameters<ReturnType<typeof w.wasmModule>["func"]>[1],
  { shared = false, imports = {}, constant }: {
    shared?: boolean;
    imports?: Record<string, { signature: w.Signature; run: Run }>;
    constant?: (lanes: Uint32Array) => number | undefined;
  } = {},
): { run: Run; memory: WebAssembly.Memory; module: ReturnType<typeof w.wasmModule> } {
  const limits = { initial: 1, maximum: 1, shared };
  const module = w.wasmModule({
    memory: limits,
    imports: Object.fromEntries(Object.entries(imports).map(([name, { signature }]) => [name, signature])),
    constant,
  });
  module.export("run", module.func(signature, body as never));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared });
  const functions = Object.fromEntries(Object.entries(imports).map(([name, { run }]) => [name, run]));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.binary()), {
    env: { memory, ...functions },
  });
  return { run: exports.run as Run, memory, module };
}

Deno.test("loops run once per step, also with bounds that are known, equal or reversed", () => {
  const { run } = compile({ params: ["i32", "i32"], result: "i32" }, (f, from, to) => {
    const sum = f.local("i32");
    f.loop(from as w.I32, to as w.I32, 3, (i) => f.set(sum, i32.add(sum, i)));
    return sum;
  });
  for (const [from, to] of [[0, 10], [4, 4], [5, 2], [7, 8], [1, 1000]]) {
    let expected = 0;
    for (let i = from; i < to; i += 3) expected += i;
    assert.equal(run(from, to), expected);
  }
  const fixed = compile({ params: [], result: "i32" }, (f) => {
    const count = f.local("i32");
    f.loop(2, 2, 1, () => f.set(count, w.int(100)));
    f.loop(0, 5, 1, () => f.set(count, i32.add(count, 1)));
    return count;
  });
  assert.equal(fixed.run(), 5);
});

Deno.test("while, if, block and repeat jump where they say, nested", () => {
  // Collatz steps, with a limit.
  const { run } = compile({ params: ["i32"], result: "i32" }, (f, given) => {
    const n = f.let(given as w.I32);
    const steps = f.local("i32");
    f.block((leave) => {
      f.while(() => i32.ne(n, 1), () => {
        leave(i32.eq(steps, 200));
        f.if(
          i32.and(n, 1),
          () => f.set(n, i32.add(i32.mul(n, 3), 1)),
          () => f.set(n, i32.shrU(n, 1)),
        );
        f.set(steps, i32.add(steps, 1));
      });
    });
    return steps;
  });
  const collatz = (n: number): number => n === 1 ? 0 : 1 + collatz(n % 2 ? 3 * n + 1 : n / 2);
  for (const n of [1, 2, 27, 97, 871]) assert.equal(run(n), collatz(n));
});

Deno.test("functions call each other and imports; equal bodies are one function", () => {
  const seen: number[] = [];
  const { run, module } = compile({ params: ["i32"], result: "i32" }, (f, x) => {
    const twice = () => f.module.func({ params: ["i32"], result: "i32" }, (_, y) => i32.mul(y, 2));
    f.call({ index: 0, result: undefined }, x);
    const before = f.module.size;
    assert.equal(twice().index, twice().index);
    assert.equal(f.module.size, before + 1);
    f.call(twice(), 3);
    return w.call(twice(), w.call(twice(), x));
  }, { imports: { tell: { signature: { params: ["i32"] }, run: (x) => seen.push(x) } } });
  assert.equal(run(5), 20);
  assert.deepEqual(seen, [5]);
  assert.equal(module.size, 2);
});

Deno.test("functions of different types, constants or variables are different functions", () => {
  const module = w.wasmModule({ memory: { initial: 1, maximum: 1, shared: false } });
  const bodies = [
    module.func({ params: ["i32"], result: "i32" }, () => w.int(1)),
    module.func({ params: ["i32"], result: "i32" }, () => w.int(2)),
    module.func({ params: ["i32", "i32"], result: "i32" }, () => w.int(1)),
    module.func({ params: ["i32"], result: "i32" }, (f) => {
      f.local("v128");
      return w.int(1);
    }),
  ];
  assert.equal(new Set(bodies.map(({ index }) => index)).size, 4);
});

Deno.test("constant vectors are read from memory if the module has a table, else written into the code", () => {
  const asked: string[] = [];
  const { run, memory } = compile({ params: [] }, (f) => f.store(64, f32x4.mul(load("v128", 32), 2)), {
    constant: (lanes) => {
      asked.push(new Float32Array(lanes.buffer).join());
      return 16;
    },
  });
  const x = new Float32Array(memory.buffer);
  x.fill(2, 4, 8);
  x.set([1, 2, 3, 4], 8);
  run();
  assert.deepEqual([...x.subarray(16, 20)], [2, 4, 6, 8]);
  assert.deepEqual(asked, ["2,2,2,2"]);
});

Deno.test("memory is filled and copied, single lanes are stored", () => {
  const { run, memory } = compile({ params: [] }, (f) => {
    f.copy(64, 0, 16);
    f.zero(4, 8);
    f.storeLane(128, load("v128", 64), 2, 4);
  });
  const x = new Float32Array(memory.buffer);
  x.set([1, 2, 3, 4]);
  run();
  assert.deepEqual([...x.subarray(0, 4), ...x.subarray(16, 20), x[33]], [1, 0, 0, 4, 1, 2, 3, 4, 3]);
});

Deno.test("atomics add, load, store, and wait with a timeout on shared memory; trap raises", () => {
  const { run, memory } = compile({ params: ["i32"], result: "i32" }, (f, x) => {
    f.storeAtomic(8, 40);
    f.drop(atomic.add(8, x as w.I32));
    f.drop(atomic.notify(8, -1));
    f.if(i32.eq(atomic.wait(8, 41, 1_000_000n), 2), () => f.store(16, w.int(7)));
    f.if(i32.eq(atomic.wait(8, 0, 1_000_000n), 1), () => f.store(20, w.int(8)));
    f.if(i32.eq(x as w.I32, 2), () => f.trap());
    return atomic.load(8);
  }, { shared: true });
  assert.equal(run(1), 41);
  assert.deepEqual([...new Int32Array(memory.buffer).subarray(4, 6)], [7, 8]);
  assert.throws(() => run(2), WebAssembly.RuntimeError);
});

Deno.test("numbers are encoded as LEB128 of any length", () => {
  for (const n of [0, 63, 64, -64, -65, 127, 128, 8191, -8193, 2 ** 31 - 1, -(2 ** 31)]) {
    assert.equal(compile({ params: [], result: "i32" }, () => w.int(n)).run(), n);
  }
  const { run } = compile({ params: [], result: "f64" }, () => w.double(Math.PI));
  assert.equal(run(), Math.PI);
});
