// Statistics of tensors against an independent two-pass float64 implementation: odd sizes, non-finite numbers, numbers whose
// squares overflow float32.
import assert from "node:assert/strict";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import type { Segment } from "../../kernels/statistics/chunks.ts";
import { statistics } from "../../kernels/statistics/op.ts";
import { STATISTICS } from "../../kernels/statistics/table.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/base/errors.ts";
import { input, view } from "../../src/graph/structure.ts";
import type { Values } from "../../src/graph/tensor.ts";
import { between, kernelDevices, webgpuDevices } from "./harness.ts";

type Row = Record<typeof STATISTICS[number], number>;

/** A tensor's numbers and its parts. */
interface Given {
  readonly values: Float64Array;
  readonly parts: readonly Segment[];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), -Infinity);
const length = (values: readonly number[]): number => Math.sqrt(sum(values.map((x) => x * x)));

/** The definitions, literally. */
function dense(values: Float64Array, { offset, samples, size, rows }: Segment): Row {
  const { length: width, every } = rows ?? { length: size, every: size };
  const each = Array.from({ length: samples }, (_, b) => {
    return Array.from({ length: size }, (_, n) => {
      return values[offset + (b * size / width + Math.floor(n / width)) * every + n % width];
    });
  });
  const finite = each.flat().filter(Number.isFinite);
  const n = finite.length;
  const norms = each.map((sample) => length(sample.filter(Number.isFinite)));
  const mean = n ? sum(finite) / n : 0;
  return {
    mean,
    std: n ? Math.sqrt(sum(finite.map((x) => (x - mean) ** 2)) / n) : 0,
    min: n ? least(finite) : 0,
    max: n ? most(finite) : 0,
    absmax: n ? most(finite.map(Math.abs)) : 0,
    rms: n ? length(finite) / Math.sqrt(n) : 0,
    l2: length(finite),
    zeros: each.flat().filter((x) => x === 0).length / (samples * size),
    nonfinite: samples * size - n,
    pnorm_mean: sum(norms) / samples,
    pnorm_max: most(norms),
    pnorm_min: least(norms),
  };
}

/** The rows of all parts of all tensors, as a device computes them. */
async function rowsOn(device: Device, given: readonly Given[]): Promise<Row[]> {
  const rows = statistics(
    given.map(({ values, parts }, i) => ({ x: input(`x${i}`, [values.length]), parts })),
  );
  using program = await device.compile({ outputs: { rows } });
  program.run(Object.fromEntries(given.map(({ values }, i) => [`x${i}`, values])));
  const [results] = await program.read(["rows"]);
  const width = STATISTICS.length;
  return Array.from({ length: results.length / width }, (_, r) => {
    return Object.fromEntries(STATISTICS.map((name, k) => [name, results[r * width + k]])) as Row;
  });
}

async function everyDevice(): Promise<[string, Device][]> {
  const [software, gpu, cpu] = await kernelDevices();
  const [f64, f32] = (["f64", "f32"] as const).map((precision) => referenceDevice({ precision }));
  return [["float64", f64], ["float32", f32], ["software schedule", software], ["gpu schedule", gpu], [
    "cpu",
    cpu,
  ]];
}

/** Tolerance of a statistic. */
function allowed(name: keyof Row, expected: Row): number {
  // Exact, except for the rounding of the share to float32.
  if (name === "zeros") return 1e-7;
  // Exact, unless subnormal: an adapter may flush numbers below 2^-126.
  if (["min", "max", "absmax", "nonfinite"].includes(name)) return 1.2e-38;
  // Rounded once, because every merge keeps the compensation: measured 6e-8 of the numbers' size.
  if (name === "mean") return 2e-7 * expected.rms + 1.2e-38;
  // Measured 4e-6 if 30,000 samples are merged one by one, 5e-7 otherwise; each of n numbers may have been flushed.
  return 1e-5 * expected[name] + 1.2e-38 * Math.sqrt(1e6);
}

function compare(where: string, results: Row, expected: Row): void {
  for (const name of STATISTICS) {
    // A result beyond float32 is infinite there, and may be finite in float64.
    const [x, y] = [results[name], expected[name]].map((value) =>
      Math.abs(value) > 3.4028235e38 ? Infinity : value
    );
    const error = x === y ? 0 : Math.abs(x - y);
    const limit = allowed(name, expected);
    assert.ok(error <= limit, `${where}, ${name}: ${x}, expected ${y} within ${limit}`);
  }
}

async function check(where: string, given: readonly Given[]): Promise<void> {
  const expected = given.flatMap(({ values, parts }) => parts.map((part) => dense(values, part)));
  for (const [name, device] of await everyDevice()) {
    const results = await rowsOn(device, given);
    assert.equal(results.length, expected.length);
    results.forEach((row, r) => compare(`${where}, ${name}, row ${r}`, row, expected[r]));
  }
}

/** Random numbers, rounded to float32. */
function random(rng: RandomStream, size: number, scale = 1, shift = 0): Float64Array {
  return Float64Array.from({ length: size }, () => Math.fround(shift + scale * rng.normal()));
}

/** All of the numbers as one part. */
const onePart = (values: Float64Array, samples = 1): Given => ({
  values,
  parts: [{ offset: 0, samples, size: values.length / samples }],
});

const filled = (size: number, value: number): Float64Array => new Float64Array(size).fill(Math.fround(value));

Deno.test("statistics of tensors of any size, with any parts, equal float64", async () => {
  for (let i = 0; i < 12; i++) {
    const rng = randomStream(i, "statistics");
    const given = Array.from({ length: between(rng, 1, 5) }, (): Given => {
      const parts = Array.from({ length: between(rng, 1, 4) }, (): Segment => {
        const size = between(rng, 1, rng.below(2) ? 9 : 6000);
        return { offset: between(rng, 0, 70), samples: between(rng, 1, 9), size };
      });
      const size = most(parts.map(({ offset, samples, size }) => offset + samples * size));
      return {
        values: random(rng, size + between(rng, 0, 5), 10 ** between(rng, -6, 6), rng.normal()),
        parts,
      };
    });
    await check(`case ${i}`, given);
  }
});

Deno.test("statistics of the heads of [B, T, H, d] of any sizes equal float64", async () => {
  for (let i = 0; i < 4; i++) {
    const rng = randomStream(i, "heads");
    // Each shape is a shader to compile.
    const given = Array.from({ length: 1 }, (): Given => {
      const [B, T, H] = [between(rng, 1, 4), between(rng, 1, rng.below(2) ? 9 : 700), between(rng, 1, 5)];
      const d = i % 2 ? 4 * between(rng, 1, 8) : between(rng, 1, 33);
      const offset = i < 2 ? 0 : between(rng, 1, 9);
      const values = random(rng, offset + B * T * H * d, 10 ** between(rng, -6, 6), rng.normal());
      if (i % 2 === 0) values[between(rng, 0, values.length - 1)] = NaN;
      const heads = Array.from({ length: H }, (_, head): Segment => {
        return { offset: offset + head * d, samples: B, size: T * d, rows: { length: d, every: H * d } };
      });
      // After a part that is the entire tensor, as in tracking, or alone.
      const all: Segment[] = i > 0 ? [{ offset, samples: B, size: T * H * d }] : [];
      return { values, parts: [...all, ...heads] };
    });
    await check(`case ${i}`, given);
  }
});

Deno.test("every parameter of one flat tensor has a separate row", async () => {
  const rng = randomStream(1, "flat");
  let end = 0;
  const parts = Array.from({ length: 60 }, () => {
    const part = { offset: end, samples: 1, size: between(rng, 1, 3000) };
    end += Math.ceil(part.size / 64) * 64;
    return part;
  });
  await check("flat", [{ values: random(rng, end), parts }]);
});

Deno.test("a sample of more chunks than are merged one by one is summarised completely", async () => {
  const values = random(randomStream(1, "long"), 1_300_003);
  values[1_300_002] = 77;
  await check("long", [onePart(values)]);
});

Deno.test("NaN and infinities are counted and excluded, zeros of both signs are counted", async () => {
  const rng = randomStream(1, "planted");
  const planted = [NaN, Infinity, -Infinity, 0, -0];
  const given = [7, 64, 1030, 20_000].map((size) => {
    const values = random(rng, 3 * size);
    for (let i = 0; i < size; i++) values[rng.below(3 * size)] = planted[rng.below(planted.length)];
    return onePart(values, 3);
  });
  // A NaN's sign and payload do not matter: this one has every bit set.
  await check("planted", [...given, { ...given[3], parts: [{ offset: 1, samples: 1, size: 17_003 }] }]);
  const bits = new Float32Array(new Uint32Array([0xffffffff, 0x7f800001, 0x80000000, 1]).buffer);
  for (const device of await webgpuDevices()) {
    const rows = statistics([{ x: input("x", [4]), parts: [{ offset: 0, samples: 1, size: 4 }] }]);
    using program = await device.compile({ outputs: { rows } });
    program.run({ x: bits });
    const [results] = await program.read(["rows"]);
    // The subnormal number is not counted as zero, even if sums flush it.
    assert.equal(results[STATISTICS.indexOf("nonfinite")], 2);
    assert.equal(results[STATISTICS.indexOf("zeros")], 0.25);
  }
});

Deno.test("without finite elements the row is zero except for the counts, and empty samples have norm 0", async () => {
  const none = filled(100, NaN);
  const half = Float64Array.from({ length: 4000 }, (_, i) => i < 2000 ? Infinity : 2);
  await check("none", [onePart(none, 2), onePart(half, 2), onePart(filled(1, -Infinity))]);
  const [row] = await rowsOn((await webgpuDevices())[0], [onePart(none)]);
  assert.deepEqual(Object.values(row), [0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0]);
});

Deno.test("squares beyond float32 do not affect the results", async () => {
  const rng = randomStream(1, "scales");
  const given = [1e30, 1e-30, 1e37, 1e-36].map((scale) => onePart(random(rng, 6000, scale), 3));
  // Samples of every magnitude, and every magnitude in one sample.
  const mixed = [1e-30, 1, 1e30].flatMap((scale) => [...random(rng, 2000, scale)]);
  const large = Float64Array.from({ length: 300 }, (_, i) => Math.fround(i % 2 ? 3e38 : -3e38));
  const edge = [
    onePart(large),
    onePart(large.map(Math.abs), 100),
    onePart(Float64Array.of(Math.fround(3.4028234e38))),
  ];
  await check("scales", [
    ...given,
    onePart(Float64Array.from(mixed), 3),
    onePart(Float64Array.from(mixed)),
    ...edge,
  ]);
});

Deno.test("subnormal numbers are kept or flushed to zero, never anything else", async () => {
  await check("subnormal", [
    onePart(random(randomStream(1, "subnormal"), 500, 1e-40)),
    onePart(filled(9, 1e-45)),
  ]);
});

Deno.test("equal elements have exactly their value as mean and a standard deviation of exactly 0", async () => {
  for (const [name, device] of await everyDevice()) {
    for (const value of [0, -0, 0.1, -1 / 3, 1e30, -1e-30]) {
      const [row] = await rowsOn(device, [onePart(filled(4099, value))]);
      assert.deepEqual([row.mean + 0, row.std], [Math.fround(value) + 0, 0], `${name}, ${value}`);
    }
    const [row] = await rowsOn(device, [onePart(Float64Array.of(-2.5))]);
    assert.deepEqual(Object.values(row), [-2.5, 0, -2.5, -2.5, 2.5, 2.5, 2.5, 0, 0, 2.5, 2.5, 2.5], name);
  }
});

Deno.test("std is as exact with a mean 100,000 times as large, and after an outlier", async () => {
  const rng = randomStream(1, "shifted");
  const outlier = random(rng, 50_000);
  outlier[0] = 1e4;
  for (const values of [random(rng, 300, 1e-2, 1000), random(rng, 400_001, 1e-2, 1000), outlier]) {
    const expected = dense(values, onePart(values).parts[0]);
    for (const [name, device] of await everyDevice()) {
      const [{ mean, std }] = await rowsOn(device, [onePart(values)]);
      // The mean is rounded once, by half a unit in its last place, 3e-5; a difference of sums would be meaningless.
      assert.ok(Math.abs(mean - expected.mean) <= 3.2e-5, `${name}: mean ${mean}, expected ${expected.mean}`);
      assert.ok(Math.abs(std / expected.std - 1) <= 1e-5, `${name}: std ${std}, expected ${expected.std}`);
    }
  }
});

Deno.test("one dispatch per tensor and two for all, on views too, and deterministic", async () => {
  const values = random(randomStream(1, "bits"), 4 * 9000, 3);
  const parts = [{ offset: 3, samples: 7, size: 1201 }];
  for (const device of await webgpuDevices()) {
    const x = input("x", [4, 9024]);
    const rows = statistics([0, 9024, 2 * 9024].map((offset) => ({ x: view(x, [9000], offset), parts })));
    using program = await device.compile({ outputs: { rows } });
    assert.equal(program.plan.dispatches, 3 + 2);
    const feeds = { x: Float64Array.from({ length: 4 * 9024 }, (_, i) => values[i % values.length]) };
    program.run(feeds);
    const [first] = await program.read(["rows"]);
    program.run(feeds);
    assert.deepEqual((await program.read(["rows"]))[0], first);
    [0, 9024, 2 * 9024].forEach((offset, i) => {
      const row = Object.fromEntries(
        STATISTICS.map((name, k) => [name, first[STATISTICS.length * i + k]]),
      ) as Row;
      compare(`view ${i}`, row, dense(feeds.x.subarray(offset), parts[0]));
    });
  }
});

Deno.test("more samples than workgroups in one dimension are merged, more than the adapter's iterations are rejected", async () => {
  const values = random(randomStream(1, "samples"), 90_000);
  await check("many samples", [onePart(values, 30_000)]);
  const [software] = await webgpuDevices();
  if (software.target!.maxIterations === undefined) return;
  await assert.rejects(rowsOn(software, [onePart(values, 45_000)]), (error: Error) => {
    return error instanceof UserError && error.message.includes("samples = 45000");
  });
});

/** A tensor of parts of every kind: long and short rows, samples that are not aligned, NaN in some of them. */
function everyKind(): Given[] {
  const rng = randomStream(1, "threads");
  const values = random(rng, 200_000, 3, 1);
  for (let i = 0; i < 100; i++) values[rng.below(50_000)] = [NaN, Infinity, 0][i % 3];
  const plain: Segment[] = [{ offset: 1, samples: 7, size: 20_001 }, {
    offset: 150_002,
    samples: 1,
    size: 49_998,
  }];
  const rows = (length: number, every: number): Segment[] =>
    [0, 1].map((head) => {
      return { offset: head * length, samples: 4, size: 12 * length, rows: { length, every } };
    });
  return [rows(2050, 4100), rows(7, 17), rows(33, 100)].map((parts) => ({
    values,
    parts: [...plain, ...parts],
  }));
}

Deno.test("long rows, and chunks with and without NaN, equal float64 on every device", async () => {
  await check("every kind", everyKind());
});

Deno.test("the CPU device computes statistics in WebAssembly, the same bytes with 1, 2 and 3 threads", async () => {
  const given = everyKind();
  const rows = statistics(
    given.map(({ values, parts }, i) => ({ x: input(`x${i}`, [values.length]), parts })),
  );
  const results: Values[] = [];
  for (const threads of [1, 2, 3]) {
    using device = cpuDevice({ threads });
    using program = await device.compile({ outputs: { rows } });
    const phases = program.plan.steps.filter(({ node }) => node.op.name.endsWith("statistics"))
      .map(({ simd }) => simd!.phases[0]);
    assert.equal(phases.length, given.length + 1);
    assert.ok(phases.every(({ blocks }) => blocks >= 3));
    program.run(Object.fromEntries(given.map(({ values }, i) => [`x${i}`, values])));
    results.push((await program.read(["rows"]))[0]);
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

Deno.test("the CPU device's sums are within a few roundings of float32, also of 16 million elements", async () => {
  using device = cpuDevice({ threads: 2 });
  const size = 1 << 24;
  // Of one sign: errors of a sum of floats would add up.
  const values = Float32Array.from({ length: size }, (_, i) => 1 + ((i * 2654435761) >>> 0) * 2 ** -32);
  let [sum, squares] = [0, 0];
  for (const x of values) [sum, squares] = [sum + x, squares + x * x];
  const rows = statistics([{ x: input("x", [size]), parts: [{ offset: 0, samples: 1, size }] }]);
  using program = await device.compile({ outputs: { rows } });
  program.run({ x: values });
  const [row] = await program.read(["rows"]);
  const error = (name: string, expected: number) => Math.abs(row[STATISTICS.indexOf(name)] / expected - 1);
  assert.ok(error("mean", sum / size) <= 1.2e-7);
  assert.ok(error("l2", Math.sqrt(squares)) <= 1.2e-7);
  assert.ok(error("std", Math.sqrt(squares / size - (sum / size) ** 2)) <= 1e-6);
});

Deno.test("parts outside their tensor, integer tensors and an empty list are rejected", () => {
  const part = { offset: 0, samples: 2, size: 5 };
  assert.throws(() => statistics([{ x: input("x", [9]), parts: [part] }]), (error: Error) => {
    return error instanceof UserError &&
      error.message === "statistics: found 2 samples of 5 elements, starting at element 0 of f32[9], " +
          "expected at least one sample of at least one element, all inside the tensor.";
  });
  for (const wrong of [{ offset: -1 }, { samples: 0 }, { size: 2.5 }]) {
    assert.throws(() => statistics([{ x: input("x", [90]), parts: [{ ...part, ...wrong }] }]), UserError);
  }
  assert.throws(() => statistics([{ x: input("x", [10], "u32"), parts: [part] }]), UserError);
  assert.throws(() => statistics([]), UserError);
});
