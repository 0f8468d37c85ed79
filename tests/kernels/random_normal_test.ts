// Normal random numbers: the host's stream in order, with the distribution of a normal.
import assert from "node:assert/strict";
import { randomNormal } from "../../kernels/random/op.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { erf } from "../../kernels/expression/erf.ts";
import { cosineOfTurns, negativeLogComplement } from "../../kernels/random/simd.ts";
import { gatherLanes } from "../../kernels/simd/vectors.ts";
import { element, i32 } from "../../src/wasm/mod.ts";
import normalWgsl from "../../kernels/random/normal.wgsl" with { type: "text" };
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import { apply, type Op, workgroups1d } from "../../src/graph/tensor.ts";
import { between, type Case, checkKernel, evaluate, kernelDevices, webgpuDevices } from "./harness.ts";

function normals(rng: RandomStream): Case {
  const shape = [between(rng, 1, 50), between(rng, 1, 70)];
  const options = {
    seed: rng.uint32(),
    purpose: `init ${rng.below(100)}`,
    std: 3 * rng.uniform(),
    mean: rng.normal(),
  };
  return { feeds: {}, outputs: { y: randomNormal(shape, options) }, label: shape.join("x") };
}

Deno.test("randomNormal() equals float64 on every device", () => checkKernel("randomNormal", normals));

/** Largest |a - b| / |b|. */
const worst = (a: ArrayLike<number>, b: readonly number[]): number =>
  b.reduce((most, value, i) => Math.max(most, Math.abs(a[i] - value) / Math.abs(value)), 0);

/** The first `count` standard normals of a stream, on the host. */
function hostNormals(seed: number, purpose: string, count: number): number[] {
  const stream = randomStream(seed, purpose);
  return Array.from({ length: count }, () => stream.normal());
}

Deno.test("randomNormal() is the host's stream in order: exact in float64, each number to 1e-6 on every device", async () => {
  const expected = hostNormals(2024, "init", 100_000);
  const testCase = {
    feeds: {},
    outputs: { y: randomNormal([100_000], { seed: 2024, purpose: "init", std: 1 }) },
  };
  using oracle = referenceDevice({ precision: "f64" });
  assert.deepEqual(Array.from((await evaluate(oracle, testCase)).y), expected);
  for (const device of await kernelDevices()) {
    const error = worst((await evaluate(device, testCase)).y, expected);
    assert.ok(error <= 1e-6, `relative error ${error}, ${device.adapter}`);
  }
});

/** The kernel's log and cos alone: rows [high, low] of a uniform in, rows [-log(1 - u), cos(2 pi u)] out. */
const partsOp: Op<undefined> = {
  name: "parts of randomNormal",
  infer: ([x]) => [{ shape: x.shape, dtype: "f32" }],
  lower: ({ inputs: [x] }) => ({
    dispatches: [{
      label: "parts of randomNormal",
      source: `${normalWgsl.slice(0, normalWgsl.indexOf("//! each"))}
@group(0) @binding(1) var<storage, read> x: array<vec2u>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= ROWS) { return; }
  y[2u * id.x] = negative_log_complement(x[id.x].x, x[id.x].y);
  y[2u * id.x + 1u] = cosine_of_turns(x[id.x].x, x[id.x].y);
}`,
      constants: { ROWS: x.shape[0] },
      code: { THREEFRY: "" },
      bindings: { 0: ["output", 0], 1: ["input", 0] },
      workgroups: workgroups1d(x.shape[0], 64),
    }],
  }),
  simd: ({ inputs: [{ shape: [rows] }] }) => ({
    phases: [{
      label: "parts of randomNormal",
      blocks: rows / 4,
      kernel(f, block, { inputs: [x], outputs: [y] }) {
        const [high, low] = [0, 1].map((word) => {
          const index = (lane: number) => i32.add(i32.mul(i32.add(i32.mul(block, 4), lane), 2), word);
          return f.let(gatherLanes(x, index));
        });
        [negativeLogComplement(f, { high, low }), cosineOfTurns(f, { high, low })].forEach((part, k) => {
          const value = f.let(part);
          for (let lane = 0; lane < 4; lane++) {
            f.storeLane(element(y, block, 32), value, lane, 8 * lane + 4 * k);
          }
        });
      },
    }],
  }),
  cpu() {},
};

/** cos(2 pi u) that stays exact near its zeros, where Math.cos sees a rounded angle. */
function cosineAt(high: number, low: number): number {
  // Quarter turns, and the signed distance from the nearest of them in 2^-53: integers below 2^53, so exact.
  const turns = high * 2 ** 26 + low;
  const quarter = Math.round(turns / 2 ** 51);
  const angle = 2 * Math.PI * ((turns - quarter * 2 ** 51) / 2 ** 53);
  return [Math.cos(angle), -Math.sin(angle), -Math.cos(angle), Math.sin(angle)][quarter % 4];
}

Deno.test("the kernel's log and cos are within 1e-6 of each value, also near 0, 1, octants and boundaries of the formulas", async () => {
  const [HIGH, LOW] = [2 ** 27 - 1, 2 ** 26 - 1];
  const edges = [0, 39311461, 39311462, HIGH, HIGH - 1, ...Array.from({ length: 8 }, (_, k) => k * 2 ** 24)];
  const near = edges.flatMap((edge) => [edge - 1, edge, edge + 1]).filter((high) =>
    high >= 0 && high <= HIGH
  );
  const rng = randomStream(1, "parts");
  const rows = near.flatMap((high) =>
    [0, 1, 2, 12345, 2 ** 25, LOW - 2, LOW - 1, LOW].map((low) => [high, low])
  );
  // A multiple of four in all.
  while (rows.length < 6000) rows.push([rng.below(HIGH + 1), rng.below(LOW + 1)]);
  const y = apply(partsOp, [input("x", [rows.length, 2], "u32")], undefined)[0];
  for (const device of await kernelDevices()) {
    const results =
      (await evaluate(device, { feeds: { x: Uint32Array.from(rows.flat()) }, outputs: { y } })).y;
    rows.forEach(([high, low], i) => {
      const u = (high * 2 ** 26 + low) / 2 ** 53;
      const expected = [-Math.log1p(-u), cosineAt(high, low)];
      for (const part of [0, 1]) {
        const error = Math.abs(results[2 * i + part] - expected[part]);
        const where = `${["log", "cos"][part]} at (${high}, ${low}): ${results[2 * i + part]}, expected ${
          expected[part]
        }`;
        // 2^-49: `low` is rounded by at most two of its steps of 2 pi 2^-53, which shows only beside a zero
        // of the cosine.
        assert.ok(error <= 1e-6 * Math.abs(expected[part]) + 2 ** -49, where);
      }
    });
  }
});

Deno.test("randomNormal() of more elements than 65,535 workgroups hold is correct to the last element", async () => {
  const size = 65_535 * 64 + 1000;
  const [device] = await webgpuDevices();
  const { y } = await evaluate(device, {
    feeds: {},
    outputs: { y: randomNormal([size], { seed: 1, purpose: "large", std: 1 }) },
  });
  const stream = randomStream(1, "large");
  for (const i of [0, 2_097_151, 2_097_152, 65_535 * 64 - 1, 65_535 * 64, size - 1]) {
    stream.position = 2 * i;
    const expected = stream.normal();
    assert.ok(
      Math.abs(y[i] - expected) <= 1e-6 * Math.abs(expected),
      `element ${i}: ${y[i]}, expected ${expected}`,
    );
  }
});

Deno.test("randomNormal() within 2 deviations keeps the draws inside and redraws the others, the same on every device", async () => {
  const plain = hostNormals(4, "cut", 20_000);
  const y = randomNormal([20_000], { seed: 4, purpose: "cut", std: 1, within: 2 });
  using oracle = referenceDevice({ precision: "f64" });
  const expected = Array.from((await evaluate(oracle, { feeds: {}, outputs: { y } })).y);
  const redrawn = expected.filter((value, i) => {
    assert.ok(Math.abs(value) <= 2);
    if (Math.abs(plain[i]) <= 2) assert.equal(value, plain[i]);
    return value !== plain[i];
  });
  // 4.55% are outside; four standard deviations of their number.
  assert.ok(Math.abs(redrawn.length - 910) < 4 * Math.sqrt(869), `${redrawn.length} drawn again`);
  assert.equal(new Set(expected).size, 20_000, "no draw is used twice");
  for (const device of await kernelDevices()) {
    const error = worst((await evaluate(device, { feeds: {}, outputs: { y } })).y, expected);
    assert.ok(error <= 1e-6, `relative error ${error}, ${device.adapter}`);
  }
  assert.throws(() => randomNormal([2], { seed: 1, purpose: "x", std: 1, within: 1 }), UserError);
});

const COUNT = 100_000;
const average = (x: readonly number[]): number => x.reduce((sum, value) => sum + value, 0) / x.length;

async function deviceNormals(seed: number, purpose: string): Promise<number[]> {
  const [device] = await webgpuDevices();
  const { y } = await evaluate(device, {
    feeds: {},
    outputs: { y: randomNormal([COUNT], { seed, purpose, std: 1 }) },
  });
  return Array.from(y);
}

Deno.test("100,000 draws have a normal's moments and distribution (bounds of four standard errors)", async () => {
  const x = await deviceNormals(11, "moments");
  const moment = (power: number) => average(x.map((value) => value ** power));
  assert.ok(Math.abs(moment(1)) < 4 / Math.sqrt(COUNT), `mean ${moment(1)}`);
  assert.ok(Math.abs(moment(2) - 1) < 4 * Math.sqrt(2 / COUNT), `variance ${moment(2)}`);
  assert.ok(Math.abs(moment(3)) < 4 * Math.sqrt(15 / COUNT), `third moment ${moment(3)}`);
  assert.ok(Math.abs(moment(4) - 3) < 4 * Math.sqrt(96 / COUNT), `fourth moment ${moment(4)}`);
  const sorted = x.toSorted((a, b) => a - b);
  const distance = sorted.reduce((most, value, i) => {
    const share = (1 + erf(value / Math.SQRT2)) / 2;
    return Math.max(most, Math.abs(share - i / COUNT), Math.abs(share - (i + 1) / COUNT));
  }, 0);
  // Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
  assert.ok(distance < 1.95 / Math.sqrt(COUNT), `Kolmogorov-Smirnov distance ${distance}`);
});

Deno.test("draws of other purposes, other seeds and of neighbours are uncorrelated (four standard errors)", async () => {
  const streams = await Promise.all([
    deviceNormals(11, "wq"),
    deviceNormals(11, "wk"),
    deviceNormals(12, "wq"),
  ]);
  const [a, b, c] = streams;
  const pairs = { purposes: [a, b], seeds: [a, c], neighbours: [a.slice(1), a.slice(0, -1)] };
  for (const [name, [x, y]] of Object.entries(pairs)) {
    const correlation = average(x.map((value, i) => value * y[i]));
    assert.ok(Math.abs(correlation) < 4 / Math.sqrt(COUNT), `${name}: ${correlation}`);
  }
});

Deno.test("randomNormal() rejects a negative std and numbers that are not finite", () => {
  for (const options of [{ std: -1 }, { std: NaN }, { std: 1, mean: Infinity }]) {
    assert.throws(() => randomNormal([2], { seed: 1, purpose: "x", ...options }), UserError);
  }
});

/** Every kind of draw, of `size` elements. */
