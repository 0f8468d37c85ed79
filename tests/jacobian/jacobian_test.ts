// Softmax's Jacobian against dense PyTorch, against what training's backward pass gives, and against its own algebra.
import assert from "node:assert/strict";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { type AttentionAttrs, attentionSizes } from "../../kernels/attention/sizes.ts";
import { randomStream } from "../../src/base/random.ts";
import { interval } from "../../src/base/interval.ts";
import { jacobianAnalysis } from "../../src/jacobian/analysis.ts";
import type { JacobianRecord } from "../../src/log/records.ts";
import { largestError, measureLayer } from "../../src/jacobian/measures.ts";
import { type AttentionValues, jacobianRow, largestEigenvalue } from "../../src/jacobian/rows.ts";
import { backwardGraph } from "../../src/jacobian/surrogates.ts";
import { type Batch, IGNORE } from "../../src/data/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { plan } from "../../src/device/plan.ts";
import { input } from "../../src/graph/structure.ts";
import type { Architecture } from "../../src/nn/architecture.ts";
import { decoderParameters } from "../../src/nn/decoder.ts";
import { flat, initialise, layout, parameterViews } from "../../src/model/layout.ts";
import type { OpTensor } from "../golden/golden.ts";
import { webgpuDevices } from "../kernels/harness.ts";
import { EXACT, SURROGATE, TINY } from "../nn/options.ts";

type Quantity = number | null | (number | null)[];
type Golden = Record<"q" | "k" | "v" | "dz" | "dq" | "dk", OpTensor> & { heads: Record<string, Quantity>[] };

const golden: Record<string, Golden> = JSON.parse(
  Deno.readTextFileSync(new URL("../golden/jacobian.json", import.meta.url)),
);

const OPTIONS: Record<string, AttentionOptions> = {
  "causal": {},
  "window 3": { window: { size: 3 } },
  "softmax1": { activation: "softmax1" },
  "entmax15": { activation: "entmax15" },
  "one key head": {},
};

/** The inputs of attention with these options, as the analysis takes them. */
function valuesOf(
  tensors: Record<"q" | "k" | "v" | "dz", { shape: readonly number[]; data: ArrayLike<number> }>,
  options: AttentionOptions,
): AttentionValues {
  const { node } = attention(
    input("q", [...tensors.q.shape]),
    input("k", [...tensors.k.shape]),
    input("v", [...tensors.v.shape]),
    options,
  );
  const [q, k, v, dz] = (["q", "k", "v", "dz"] as const).map((name) => Float64Array.from(tensors[name].data));
  return { sizes: attentionSizes(node.inputs), attrs: node.attrs as AttentionAttrs, tables: [], q, k, v, dz };
}

/** Random q, k, v, dz for one head. */
function randomValues(T: number, D: number, options: AttentionOptions = {}): AttentionValues {
  const { normal } = randomStream(3, "jacobian values");
  const tensor = () => ({ shape: [1, T, 1, D], data: Float64Array.from({ length: T * D }, normal) });
  return valuesOf({ q: tensor(), k: tensor(), v: tensor(), dz: tensor() }, options);
}

const everySample = () => true;

function near(actual: unknown, expected: unknown, relative: number, what: string): void {
  if (expected === null || actual === null) return assert.equal(actual, expected, what);
  const [x, y] = [actual as number, expected as number];
  assert.ok(Math.abs(x - y) <= relative * Math.max(1, Math.abs(y)), `${what}: found ${x}, expected ${y}`);
}

for (const [name, options] of Object.entries(OPTIONS)) {
  Deno.test(`every quantity of ${name} attention is that of dense PyTorch in float64`, () => {
    const { heads: all, dq, dk, ...tensors } = golden[name];
    // softmax1 has no centred numbers: its full changes with a constant in g.
    const heads = name !== "softmax1" ? all : all.map((head) => {
      return Object.fromEntries(Object.entries(head).filter(([key]) => !/_[cm](_by_position)?$/.test(key)));
    }) as typeof all;
    const measured = measureLayer(valuesOf(tensors, options), everySample);
    // 12 digits are stored.
    assert.ok(largestError(measured.dq, dq.data) < 1e-11);
    assert.ok(largestError(measured.dk, dk.data) < 1e-11);
    assert.equal(measured.heads.length, heads.length);
    heads.forEach(({ rows, rows_zero, visible_keys, ...expected }, h) => {
      const { measures, byPosition, ...counts } = measured.heads[h];
      assert.deepEqual([counts.rows, counts.rowsZero], [rows, rows_zero]);
      near(counts.visibleKeys, visible_keys, 1e-11, "visible keys");
      const all: Record<string, unknown> = { ...measures, ...byPosition };
      assert.deepEqual(Object.keys(all).sort(), Object.keys(expected).sort());
      for (const [key, value] of Object.entries(expected)) {
        // The power iteration stops when it changes by 1e-10 of itself; where eigenvalues are close that is some way off.
        const tolerance = key === "lambda_max" ? 1e-7 : 1e-10;
        if (!Array.isArray(value)) near(all[key], value, tolerance, `head ${h}, ${key}`);
        else value.forEach((x, i) => near((all[key] as Quantity[])[i], x, 1e-10, `head ${h}, ${key} ${i}`));
      }
    });
  });
}

Deno.test("r_diag, r_lateral and r_cross sum to 1, raw and centred", () => {
  const { measures } = measureLayer(randomValues(40, 8), everySample).heads[0];
  for (const signal of ["", "_c", "_m"]) {
    const sum = ["r_diag", "r_lateral", "r_cross"].reduce(
      (total, name) => total + measures[name + signal]!,
      0,
    );
    near(sum, 1, 1e-12, signal);
  }
});

Deno.test("a constant added to the rows of g moves the raw numbers and leaves the centred ones", () => {
  const before = randomValues(24, 6);
  // Every value vector moved by one vector: g_ij = dz_i . v_j moves by dz_i . that, the same for all j.
  const v = before.v.map((x, n) => x + [3, -1, 2, 0.5, -4, 1][n % 6]);
  const [first, second] = [before, { ...before, v }].map((values) => measureLayer(values, everySample));
  const [a, b] = [first.heads[0].measures, second.heads[0].measures];
  for (const key of Object.keys(a).filter((name) => /_[cm]$/.test(name))) near(b[key], a[key], 1e-9, key);
  assert.ok(Math.abs(b.r_diag! - a.r_diag!) > 0.1);
  assert.ok(Math.abs(b.cos_ste! - a.cos_ste!) > 0.05);
  assert.ok(largestError(second.dq, first.dq) < 1e-12, "full does not change");
});

Deno.test("every quantity of softmax1 is computed from the model's own gradient g", () => {
  const values = randomValues(24, 6, { activation: "softmax1" });
  const [{ measures, byPosition }] = measureLayer(values, everySample).heads;
  const centred = [...Object.keys(measures), ...Object.keys(byPosition)].filter((key) =>
    /_[cm](_by|$)/.test(key)
  );
  assert.deepEqual(centred, []);
  assert.ok(measures.r_diag! > 0);
});

Deno.test("a row with a NaN is excluded from averages of the Jacobian, and a head without rows has none", () => {
  const [clean, values] = [randomValues(24, 6), randomValues(24, 6)];
  // Causal: only the last query's row changes.
  (values.q as Float64Array)[values.q.length - 1] = NaN;
  const [head] = measureLayer(values, everySample).heads;
  const shorter = { ...clean, sizes: { ...clean.sizes, T: 23 } };
  const [expected] = measureLayer(shorter, everySample).heads;
  assert.deepEqual([head.rows, head.nonfinite], [23, 24]);
  for (const key of Object.keys(expected.measures)) {
    near(head.measures[key], expected.measures[key], 1e-12, key);
  }
  (values.dz as Float64Array).fill(Infinity);
  const [none] = measureLayer(values, everySample).heads;
  assert.equal(none.rows, 0);
  assert.deepEqual([...new Set(Object.values(none.measures))], [null]);
});

Deno.test("jacobianRow() is the product with the dense matrix, and its parts add up", () => {
  const { normal } = randomStream(4, "jacobian row");
  const powers = Array.from({ length: 7 }, () => Math.exp(normal()));
  const a = powers.map((x) => x / powers.reduce((sum, y) => sum + y));
  const g = a.map(() => normal());
  const { full, diag, lateral } = jacobianRow(a, g);
  a.forEach((_, j) => {
    const entries = a.map((x, l) => l === j ? x * (1 - x) : -a[j] * x);
    near(full[j], entries.reduce((sum, x, l) => sum + x * g[l], 0), 1e-14, "full");
    near(diag[j], entries[j] * g[j], 1e-15, "diag");
    near(lateral[j], full[j] - diag[j], 1e-15, "lateral");
  });
});

Deno.test("largestEigenvalue() equals the known special cases", () => {
  assert.equal(largestEigenvalue([1]), 0);
  assert.equal(largestEigenvalue([1, 0, 0]), 0);
  near(largestEigenvalue([0.3, 0.7]), 2 * 0.3 * 0.7, 1e-12, "two keys");
  near(largestEigenvalue(new Array(10).fill(0.1)), 0.1, 1e-12, "uniform");
  // Two largest weights alike: (1, -1, 0, ...) is an eigenvector.
  near(largestEigenvalue([0.4, 0.4, 0.1, 0.1]), 0.4, 1e-9, "a tie");
  assert.ok(Number.isNaN(largestEigenvalue([NaN, 0.5])));
});

Deno.test("interval() is Student's: one measurement has none, null is ignored", () => {
  assert.deepEqual(interval([null, 2]), { mean: 2, ci95: null });
  assert.deepEqual(interval([null]), { mean: null, ci95: null });
  // t of 1, 3, 5, 9, 11, 99 degrees of freedom; half of the measurements at 1 and half at -1, or one apart.
  const points: [number, number][] = [[2, 12.7062], [4, 3.18245], [6, 2.57058], [10, 2.26216], [
    100,
    1.98422,
  ]];
  for (const [n, t] of points) {
    const { mean, ci95 } = interval(Array.from({ length: n }, (_, i) => i % 2 ? 1 : -1));
    assert.equal(mean, 0);
    near(ci95! * Math.sqrt(n - 1), t, 1e-4, `${n} measurements`);
  }
});

Deno.test("no array of the host's rows is longer than an input: memory is linear in the keys", () => {
  const values = randomValues(256, 4);
  const longest = Math.max(...[values.q, values.k, values.v, values.dz].map((x) => x.length));
  const rows: number[] = [];
  const originals = { Float64Array, Int32Array, Array };
  const watched = <C extends { new (...args: never[]): { length: number } }>(constructor: C): C =>
    new Proxy(constructor, {
      construct(target, args, newTarget) {
        const array = Reflect.construct(target, args, newTarget);
        rows.push(array.length);
        return array;
      },
    });
  Object.assign(globalThis, { Float64Array: watched(Float64Array), Int32Array: watched(Int32Array) });
  try {
    measureLayer(values, everySample);
  } finally {
    Object.assign(globalThis, originals);
  }
  assert.ok(rows.length > 256, "the watch sees the arrays");
  assert.ok(Math.max(...rows) <= longest, `an array of ${Math.max(...rows)} numbers, inputs have ${longest}`);
});

Deno.test("nor does the device hold a matrix: its buffers are linear in the context", () => {
  const largest = (context: number) => {
    const architecture = { ...TINY, context, layers: 1 };
    const parameters = layout(decoderParameters(architecture));
    const model = { architecture, parameters: parameterViews(parameters, flat(parameters)) };
    const { outputs } = backwardGraph(model, 1, { values: true });
    return Math.max(...plan({ outputs }).buffers.map(({ size }) => size));
  };
  assert.ok(largest(512) <= 2.1 * largest(256), `${largest(512)} and ${largest(256)}`);
});

const batchOf = ({ vocabulary, context }: Architecture, rows: number): Batch => {
  const { below } = randomStream(5, "jacobian batch");
  const tokens = () => Uint32Array.from({ length: rows * context }, () => below(vocabulary));
  return { ids: tokens(), targets: tokens() };
};

/** The records of a model with random parameters. */
async function recordsOf(
  device: Device,
  architecture: Architecture,
  batches: readonly Batch[] = [batchOf(architecture, 2)],
): Promise<JacobianRecord[]> {
  const parameters = layout(
    decoderParameters({ ...architecture, init: { std: 0.4, scaled_residual: false } }),
  );
  await initialise(device, parameters, 1);
  const model = { architecture, parameters: parameterViews(parameters, flat(parameters)) };
  using analysis = await jacobianAnalysis(device, model, batches[0].ids.length / architecture.context);
  return await analysis.analyse(batches, 7);
}

for (const [name, choice] of Object.entries({ ...EXACT, ...SURROGATE })) {
  Deno.test(`full of a model with ${name} is training's own backward pass`, async () => {
    using device = referenceDevice({ precision: "f64" });
    for (const record of await recordsOf(device, { ...TINY, ...choice })) {
      // Both are float64 sums of some ten terms.
      assert.ok(record.full_error! as number < 1e-12, `layer ${record.layer}: ${record.full_error}`);
      assert.equal(record.rows, 2 * TINY.context);
    }
  });
}

Deno.test("full equals the backward pass of every device to 1e-5, and all devices agree", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  using reference = referenceDevice();
  const architecture: Architecture = {
    ...TINY,
    positions: "rope",
    context: 33,
    block: { attention: { softcap: 9 } },
  };
  const expected = await recordsOf(oracle, architecture);
  for (const device of [reference, ...await webgpuDevices()]) {
    const records = await recordsOf(device, architecture);
    records.forEach((record, n) => {
      assert.ok(record.full_error as number < 1e-5, `${device.adapter}: ${record.full_error}`);
      for (const key of ["entropy", "cos_diag_c", "r_lateral", "lambda_max", "dq_cos_diag", "wk_norm_ste"]) {
        // float32 against float64.
        near(record[key], expected[n][key], 1e-4, `${device.adapter}, ${key}`);
      }
    });
  }
});

Deno.test("a surrogate in the last layer changes dq as computed from the rows, and leaves dv unchanged", async () => {
  using device = referenceDevice({ precision: "f64" });
  const records = await recordsOf(device, { ...TINY, layers: 1 });
  for (const record of records) {
    near(record.dv_cos_diag, 1, 1e-12, "dv is the pattern times dz");
    near(record.dv_norm_ste, 1, 1e-12, "dv under ste");
    assert.ok(record.dq_cos_diag as number < 0.9999 && record.dq_cos_diag as number > 0);
    assert.ok(record.dq_norm_ste as number > 1, "without weights the gradient is larger");
    assert.equal(record.wq_cos_diag, records[0].wq_cos_diag);
  }
});

Deno.test("several batches give a mean and an interval; padding samples are ignored", async () => {
  using device = referenceDevice({ precision: "f64" });
  const batch = batchOf(TINY, 4);
  const halves = [0, 1].map((half): Batch => {
    const at = 2 * half * TINY.context;
    const part = (x: Uint32Array) => x.subarray(at, at + 2 * TINY.context);
    return { ids: part(batch.ids), targets: part(batch.targets) };
  });
  const [first] = await recordsOf(device, TINY, [halves[0]]);
  const [second] = await recordsOf(device, TINY, [halves[1]]);
  const [both] = await recordsOf(device, TINY, halves);
  assert.equal(first.r_diag_ci95, null);
  const [x, y] = [first.r_diag as number, second.r_diag as number];
  near(both.r_diag, (x + y) / 2, 1e-14, "mean");
  near(both.r_diag_ci95, 12.706205 * Math.abs(x - y) / 2, 1e-12, "t of one degree of freedom, s / sqrt 2");
  assert.deepEqual([both.rows, both.batches], [(first.rows as number) + (second.rows as number), 2]);
  const filled = Uint32Array.from(batch.targets, (id, n) => n < 2 * TINY.context ? id : IGNORE);
  const [short] = await recordsOf(device, TINY, [{ ids: batch.ids, targets: filled }]);
  assert.equal(short.rows, first.rows);
  near(short.cos_diag, first.cos_diag, 1e-12, "cos_diag");
  near(short.entropy, first.entropy, 1e-12, "entropy");
});

Deno.test("records have their fields in order, and sort by layer, then head", async () => {
  using device = referenceDevice();
  const records = await recordsOf(device, TINY);
  const keys = Object.keys(records[0]);
  assert.equal(
    keys.slice(0, 23).join(" "),
    "type step layer head activation method rows rows_zero batches visible_keys entropy entropy_ratio " +
      "r_diag r_lateral r_cross cos_diag cos_ste cos_diag_row cos_ste_row r_diag_c r_lateral_c r_cross_c cos_diag_c",
  );
  assert.ok(keys.indexOf("lambda_max") < keys.indexOf("dq_cos_diag"));
  assert.ok(keys.indexOf("wv_norm_ste") < keys.indexOf("entropy_ci95"));
  assert.ok(keys.indexOf("wv_norm_ste_ci95") < keys.indexOf("full_error"));
  assert.deepEqual(records.map(({ layer, head }) => [layer, head]), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [
    1,
    2,
  ]]);
  // Seven positions: a bin each, and position 0, which sees one key, has no gradient.
  assert.equal((records[0].r_diag_by_position as unknown[]).length, 7);
  assert.equal((records[0].r_diag_by_position as unknown[])[0], null);
  assert.equal(records[0].rows_zero, 2);
});

Deno.test("a sigmoid's Jacobian is diagonal: its record has no parts and no surrogates", async () => {
  using device = referenceDevice({ precision: "f64" });
  const [record] = await recordsOf(device, { ...TINY, ...EXACT.sigmoid });
  assert.equal(record.activation, "sigmoid");
  assert.ok(record.full_error as number < 1e-12);
  assert.deepEqual(Object.keys(record).filter((key) => /^(r_|cos_|d[qkv]_|w[qkv]_)/.test(key)), []);
  // A logistic rises by at most a quarter.
  assert.ok(record.lambda_max as number > 0 && record.lambda_max as number <= 0.25);
  assert.ok(record.rowmass as number > 0);
});

for (const method of ["fa", "dfa"] as const) {
  Deno.test(`under ${method} a head has the signal that it delivers and the true gradient`, async () => {
    using device = referenceDevice({ precision: "f64" });
    const choice = { block: { attention: { method }, mlp: { method } } };
    const records = await recordsOf(device, { ...TINY, ...choice });
    assert.deepEqual(records.slice(0, 4).map((r) => [r.head, r.method]), [
      [0, method],
      [0, "bp"],
      [1, method],
      [1, "bp"],
    ]);
    const exact = await recordsOf(device, TINY);
    const numbers = (all: JacobianRecord[]) => all.map(({ method: _, ...rest }) => rest);
    assert.deepEqual(numbers(records.filter((r) => r.method === "bp")), numbers(exact));
    const [delivered, gradient] = records;
    near(delivered.entropy, gradient.entropy, 1e-12, "the pattern is one");
    assert.ok(Math.abs((delivered.cos_diag as number) - (gradient.cos_diag as number)) > 1e-3);
  });
}
