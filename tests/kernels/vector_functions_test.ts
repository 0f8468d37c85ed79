// The vector functions of expressions against float64: errors in units in the last place, and special values.
import assert from "node:assert/strict";
import { erf } from "../../kernels/expression/erf.ts";
import * as vector from "../../kernels/expression/vector_functions.ts";
import { f32x4, load, wasmModule } from "../../src/wasm/mod.ts";
import { randomStream } from "../../src/base/random.ts";

const SIZE = 1 << 22;

/** A vector function of all elements of an array. */
function applied(g: vector.VectorFunction, xs: Float32Array): Float32Array {
  const pages = Math.ceil(xs.byteLength / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const module = wasmModule({ memory: { initial: pages, maximum: pages, shared: false } });
  module.export(
    "block",
    module.func(
      { params: ["i32", "i32"] },
      (f, from, to) => f.loop(from, to, 16, (at) => f.store(at, g(f, load("v128", at)))),
    ),
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.binary()), { env: { memory } });
  const numbers = new Float32Array(memory.buffer, 0, xs.length);
  numbers.set(xs);
  for (let at = 0; at < xs.byteLength; at += 4096) {
    (exports.block as (a: number, b: number) => void)(at, at + 4096);
  }
  return numbers;
}

/** Floats of all signs and exponents, denormals, infinities and NaN among them, and as many of ordinary size. */
function everyMagnitude(): Float32Array {
  const rng = randomStream(1, "magnitudes");
  const bits = Uint32Array.from({ length: SIZE }, () => rng.below(2 ** 32));
  const xs = new Float32Array(bits.buffer);
  for (let i = 0; i < SIZE; i += 2) xs[i] = 8 * rng.normal();
  return xs;
}

/** Runs `body` with multiply-adds that round twice, as on processors that do not fuse them. */
function unfused<T>(body: () => T): T {
  const { madd, nmadd } = f32x4;
  Object.assign(f32x4, {
    madd: (...[a, b, c]: Parameters<typeof madd>) => f32x4.add(f32x4.mul(a, b), c),
    nmadd: (...[a, b, c]: Parameters<typeof madd>) => f32x4.sub(c, f32x4.mul(a, b)),
  });
  try {
    return body();
  } finally {
    Object.assign(f32x4, { madd, nmadd });
  }
}

/** The distance of floats at y. */
function ulpAt(y: number): number {
  const exponent = Math.floor(Math.log2(Math.abs(y)));
  return 2 ** (Math.max(exponent, -126) - 23);
}

const sigmoid = (x: number) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

const FUNCTIONS: Record<string, [vector.VectorFunction, (x: number) => number]> = {
  exp: [vector.exp, Math.exp],
  log: [vector.log, Math.log],
  tanh: [vector.tanh, Math.tanh],
  sigmoid: [vector.sigmoid, sigmoid],
  erf: [vector.erf, erf],
};

const xs = everyMagnitude();
for (const [name, [g, right]] of Object.entries(FUNCTIONS)) {
  Deno.test(`${name} of four million floats of all magnitudes is within 2 units in the last place, fused or not`, () => {
    for (const ys of [applied(g, xs), unfused(() => applied(g, xs))]) {
      let [worst, where] = [0, 0];
      for (let i = 0; i < SIZE; i++) {
        const [y, expected] = [ys[i], right(xs[i])];
        if (Object.is(y, Math.fround(expected))) continue;
        // Beyond the largest float only infinity is right.
        const error = Number.isFinite(y) ? Math.abs(y - expected) / ulpAt(expected) : Infinity;
        if (!(error <= worst)) [worst, where] = [error, xs[i]];
      }
      assert.ok(worst <= 2, `${name}(${where}): error ${worst} ulp`);
    }
  });
}

Deno.test("expOfNegative of numbers below 0 is within 2 units in the last place, 0 where e^x is below 2^-126.5, NaN of NaN", () => {
  const negative = xs.map((x) => -Math.abs(x));
  const ys = applied(vector.expOfNegative, negative);
  for (let i = 0; i < SIZE; i++) {
    const expected = Math.exp(negative[i]);
    if (Number.isNaN(expected)) assert.ok(Number.isNaN(ys[i]));
    else if (expected < 2 ** -126) {
      assert.ok(ys[i] === 0 || ys[i] > 2 ** -127, `exp(${negative[i]}): ${ys[i]}`);
    } else assert.ok(Math.abs(ys[i] - expected) <= 2 * ulpAt(expected), `exp(${negative[i]}): ${ys[i]}`);
  }
});

Deno.test("onePlusErf of four million floats of all magnitudes is within 1.5e-7, and NaN of NaN alone", () => {
  for (const ys of [applied(vector.onePlusErf, xs), unfused(() => applied(vector.onePlusErf, xs))]) {
    let worst = 0;
    for (let i = 0; i < SIZE; i++) {
      const error = Number.isNaN(xs[i]) ? Number(!Number.isNaN(ys[i])) : Math.abs(ys[i] - 1 - erf(xs[i]));
      if (!(error <= worst)) worst = error;
    }
    assert.ok(worst <= 1.5e-7, `error ${worst}`);
  }
});
