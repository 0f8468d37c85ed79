// The random numbers: threefry's published answers on every device, dropout's masks, uniforms, ends of tensors.
import assert from "node:assert/strict";
import { dropout, randomNormal, randomUniform, THREEFRY_WGSL } from "../../kernels/random/op.ts";
import { hash32, type RandomStream, randomStream, threefry2x32 } from "../../src/base/random.ts";
import { sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { threefry, threefryKey } from "../../kernels/random/threefry_simd.ts";
import { gatherLanes } from "../../kernels/simd/vectors.ts";
import { element, i32 } from "../../src/wasm/mod.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import { apply, type Op, sizeOf, type Tensor, workgroups1d } from "../../src/graph/tensor.ts";
import {
  between,
  type Case,
  checkGradient,
  checkKernel,
  evaluate,
  kernelDevices,
  randomInput,
  relativeError,
} from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";
/** Key, counter and result of Random123's kat_vectors for threefry2x32 with 20 rounds. */
const KNOWN_ANSWERS = [
  [0, 0, 0, 0, 0x6b200159, 0x99ba4efe],
  [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x1cb996fc, 0xbb002be7],
  [0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3, 0xc4923a9c, 0x483df7a0],
];

Deno.test("threefry2x32() gives the known answers of Random123", () => {
  for (const [k0, k1, c0, c1, ...expected] of KNOWN_ANSWERS) {
    assert.deepEqual(threefry2x32(k0, k1, c0, c1), expected);
  }
});

/** Bits of the WGSL threefry: rows of [key, counter], four numbers, in; rows of two numbers out. */
const bitsOp: Op<undefined> = {
  name: "threefry bits",
  infer: ([x]) => [{ shape: [x.shape[0], 2], dtype: "u32" }],
  lower: ({ inputs: [x] }) => ({
    dispatches: [{
      label: "threefry bits",
      source: `//! insert THREEFRY
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2u>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < ROWS) { y[id.x] = threefry(x[id.x].xy, x[id.x].zw); }
}`,
      constants: { ROWS: x.shape[0] },
      code: { THREEFRY: THREEFRY_WGSL },
      bindings: { 0: ["input", 0], 1: ["output", 0] },
      workgroups: workgroups1d(x.shape[0], 64),
    }],
  }),
  simd: ({ inputs: [{ shape: [rows] }] }) => ({
    phases: [{
      label: "threefry bits",
      blocks: Math.ceil(rows / 4),
      kernel(f, block, { inputs: [x], outputs: [y] }) {
        const first = f.let(i32.mul(block, 4));
        const [k0, k1, c0, c1] = [0, 1, 2, 3].map((word) =>
          gatherLanes(x, (lane) => i32.add(i32.mul(i32.add(first, lane), 4), word))
        );
        const words = threefry(f, threefryKey(f, k0, k1), [c0, c1]);
        words.forEach((word, k) => {
          for (let lane = 0; lane < 4; lane++) {
            f.if(
              i32.ltU(i32.add(first, lane), rows),
              () => f.storeLane(element(y, first, 8), word, lane, 8 * lane + 4 * k),
            );
          }
        });
      },
    }],
  }),
  cpu([x], [y]) {
    for (let i = 0; i < y.length; i += 2) {
      [y[i], y[i + 1]] = threefry2x32(x[2 * i], x[2 * i + 1], x[2 * i + 2], x[2 * i + 3]);
    }
  },
};

Deno.test("threefry in WGSL and WebAssembly has the host's bits, for the known answers and 2,000 random keys and counters", async () => {
  const rng = randomStream(7, "threefry in WGSL");
  const rows = [
    ...KNOWN_ANSWERS.map((row) => row.slice(0, 4)),
    ...Array.from({ length: 2000 }, () => [0, 0, 0, 0].map(rng.uint32)),
  ];
  const testCase = {
    feeds: { x: Uint32Array.from(rows.flat()) },
    outputs: { y: apply(bitsOp, [input("x", [rows.length, 4], "u32")], undefined)[0] },
  };
  const expected = rows.flatMap(([k0, k1, c0, c1]) => threefry2x32(k0, k1, c0, c1));
  assert.deepEqual(expected.slice(0, 6), KNOWN_ANSWERS.flatMap((row) => row.slice(4)));
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await kernelDevices()]) {
    const { y } = await evaluate(device, testCase);
    assert.deepEqual(Array.from(y), expected, device.adapter);
  }
});

Deno.test("a stream set to an earlier position draws the same again", () => {
  const stream = randomStream(3, "position");
  const first = Array.from({ length: 50 }, () => stream.normal());
  assert.equal(stream.position, 100);
  stream.position = 20;
  assert.deepEqual(Array.from({ length: 40 }, () => stream.normal()), first.slice(10));
  // Past 2^32 draws the counter continues in its high word.
  stream.position = 4294967296 + 5;
  assert.equal(stream.uint32(), threefry2x32(3, hash32("position"), 5, 1)[0]);
});

Deno.test("hash32() is FNV-1a over UTF-8, by its published values", () => {
  assert.deepEqual(["", "a", "foobar"].map(hash32), [0x811c9dc5, 0xe40c292c, 0xbf9cf968]);
});

Deno.test("below(n) throws for an n without values to draw", () => {
  for (const n of [0, -1, NaN, 2 ** 32 + 1]) {
    assert.throws(() => randomStream(1, "none").below(n), RangeError);
  }
});

Deno.test("below(n) is uniform: chi-squared of 7 cells over 70,000 draws", () => {
  const stream = randomStream(5, "below");
  const counts = new Array(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[stream.below(7)]++;
  const statistic = counts.reduce((sum, n) => sum + (n - 1e4) ** 2 / 1e4, 0);
  assert.ok(
    statistic < 22.5,
    `chi-squared ${statistic}; 22.5 is exceeded once in a thousand with 6 degrees of freedom`,
  );
});

function dropped(rng: RandomStream): Case & { wrt: Record<string, Tensor> } {
  const feeds: Case["feeds"] = { seed: Uint32Array.of(rng.uint32(), rng.uint32()) };
  const x = randomInput(rng, feeds, "x", [between(rng, 1, 40), between(rng, 1, 61)]);
  const attrs = { p: 0.05 + 0.9 * rng.uniform(), site: rng.uint32() };
  const y = dropout(x, input("seed", [2], "u32"), attrs);
  return { feeds, wrt: { x }, outputs: { y }, label: `${sizeOf(x)} elements, p ${attrs.p}` };
}

Deno.test("dropout() equals float64 on every device", () => checkKernel("dropout", dropped));
Deno.test("dropout's gradient equals central differences", () => checkGradient("dropout", dropped));

Deno.test("dropout keeps exactly the elements whose bits reach floor(p 2^32), the same ones in the gradient", async () => {
  const [size, p, site, seed] = [10_001, 0.3, 12, Uint32Array.of(99, 1234)];
  const x = input("x", [size]);
  const y = dropout(x, input("seed", [2], "u32"), { p, site });
  const [dx] = grad(sumAll(y), [x]);
  const testCase: Case = { feeds: { x: new Float64Array(size).fill(1), seed }, outputs: { y, dx } };
  const expected = Array.from({ length: size }, (_, i) => {
    const bits = threefry2x32(seed[0], site, Math.floor(i / 2), seed[1])[i % 2];
    return bits < Math.floor(0.3 * 2 ** 32) ? 0 : 1;
  });
  const kept = expected.reduce((a: number, b) => a + b, 0) / size;
  assert.ok(
    Math.abs(kept - 0.7) < 4 * Math.sqrt(0.21 / size),
    `${kept} kept, four standard deviations from 0.7`,
  );
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await kernelDevices()]) {
    const results = await evaluate(device, testCase);
    assert.deepEqual(Array.from(results.y, Math.sign), expected, `mask, ${device.adapter}`);
    assert.deepEqual(Array.from(results.dx), Array.from(results.y), `gradient, ${device.adapter}`);
    assert.ok(Math.abs(Math.max(...results.y) - 1 / 0.7) < 1e-7);
  }
});

Deno.test("another site, seed or step gives another mask that agrees only by chance", async () => {
  const x = input("x", [4001]);
  const seed = input("seed", [2], "u32");
  const [a, b] = [3, 4].map((site) => dropout(x, seed, { p: 0.5, site }));
  using device = referenceDevice();
  using program = await device.compile({ outputs: { a, b } });
  const masks: number[][] = [];
  for (const pair of [[1, 1], [1, 2], [2, 1]]) {
    program.run({ x: new Float32Array(4001).fill(1), seed: Uint32Array.from(pair) });
    for (const values of await program.read(["a", "b"])) masks.push(Array.from(values, Math.sign));
  }
  for (let i = 0; i < masks.length; i++) {
    for (let j = 0; j < i; j++) {
      const agreement = masks[i].filter((bit, k) => bit === masks[j][k]).length / 4001;
      assert.ok(
        Math.abs(agreement - 0.5) < 4 * Math.sqrt(0.25 / 4001),
        `masks ${i} and ${j} agree in ${agreement}`,
      );
    }
  }
});

Deno.test("dropout of p 0 is the tensor itself; p outside [0, 1) and a site that is not u32 are rejected", () => {
  const [x, seed] = [input("x", [4]), input("seed", [2], "u32")];
  assert.equal(dropout(x, seed, { p: 0, site: 0 }), x);
  for (const p of [1, -0.1, NaN]) assert.throws(() => dropout(x, seed, { p, site: 0 }), UserError);
  for (const site of [-1, 0.5, 2 ** 32]) assert.throws(() => dropout(x, seed, { p: 0.1, site }), UserError);
  assert.throws(
    () => dropout(x, input("seed", [2]), { p: 0.1, site: 0 }),
    /dropout: expected x of f32 and a seed u32\[2\]/,
  );
});

Deno.test("an element whose bits equal the threshold is kept, one below is dropped", async () => {
  const bits = threefry2x32(5, 6, 0, 7)[1];
  const [x, seed] = [input("x", [2]), input("seed", [2], "u32")];
  const [kept, lost] = [bits, bits + 1].map((limit) => dropout(x, seed, { p: limit / 2 ** 32, site: 6 }));
  const testCase: Case = {
    feeds: { x: Float64Array.of(1, 1), seed: Uint32Array.of(5, 7) },
    outputs: { kept, lost },
  };
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await kernelDevices()]) {
    const results = await evaluate(device, testCase);
    assert.ok(results.kept[1] > 1 && results.lost[1] === 0, device.adapter);
  }
});

Deno.test("randomUniform() is the host's stream between its ends: exact in float64, to 1e-7 of the width on every device", async () => {
  const { uniform } = randomStream(9, "ends");
  const expected = Array.from({ length: 20_000 }, () => -1 + 4 * uniform());
  const y = randomUniform([200, 100], { seed: 9, purpose: "ends", low: -1, high: 3 });
  using oracle = referenceDevice({ precision: "f64" });
  assert.deepEqual(Array.from((await evaluate(oracle, { feeds: {}, outputs: { y } })).y), expected);
  for (const device of await kernelDevices()) {
    const results = (await evaluate(device, { feeds: {}, outputs: { y } })).y;
    expected.forEach((value, i) => assert.ok(Math.abs(results[i] - value) <= 4e-7, `${i}: ${results[i]}`));
  }
  assert.throws(() => randomUniform([2], { seed: 1, purpose: "x", low: 1, high: 0 }), UserError);
});

function draws(size: number): Case {
  const feeds: Case["feeds"] = { seed: Uint32Array.of(3, 4) };
  const x = randomInput(randomStream(1, "draws"), feeds, "x", [size]);
  const options = { seed: 1, purpose: "draws" };
  const outputs = {
    dropped: dropout(x, input("seed", [2], "u32"), { p: 0.4, site: 2 ** 32 - 1 }),
    uniform: randomUniform([size], { ...options, low: -1, high: 1 }),
    normal: randomNormal([size], { ...options, std: 1 }),
    inside: randomNormal([size], { ...options, std: 1, within: 1.5 }),
  };
  return { feeds, outputs, label: `${size}` };
}

Deno.test("random numbers are the same bytes for any number of threads, and dropout keeps NaN where it keeps an element", async () => {
  await checkThreads(draws(25_007), ["dropout", "randomUniform", "randomNormal"]);
  await checkNonFinite(draws(21));
});

Deno.test("random numbers of every size from 1 to 24 equal float64 on the CPU device", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  using device = cpuDevice({ threads: 2 });
  for (let size = 1; size <= 24; size++) {
    const [expected, results] = [await evaluate(oracle, draws(size)), await evaluate(device, draws(size))];
    for (const name of Object.keys(expected)) {
      const error = relativeError(results[name], expected[name]);
      assert.ok(error <= 1e-6, `${name} of ${size}: relative error ${error}`);
    }
  }
});
