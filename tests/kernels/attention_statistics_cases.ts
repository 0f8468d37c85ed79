// Shared by the tests of attention statistics: cases of attention, each for heed and for the dense oracle, and the
// comparison with the dense definitions.
import assert from "node:assert/strict";
import {
  ATTENTION_GRADIENT_STATISTICS,
  attentionGradientStatistics,
} from "../../kernels/attention_statistics/gradient.ts";
import * as m from "../../kernels/attention/modifier.ts";
import * as e from "../../kernels/expression/expression.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import { ATTENTION_STATISTICS, REPEATED_STATISTICS } from "../../kernels/attention_statistics/table.ts";
import type { RandomStream } from "../../src/base/random.ts";
import type { OracleOptions } from "../../src/check/oracle.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { dense, denseGradients, type Kind, type Setting } from "./attention_statistics_dense.ts";
import { between, evaluate, kernelDevices, nameOf, randomInput } from "./harness.ts";

const NAMES = [...ATTENTION_STATISTICS, ...REPEATED_STATISTICS];

export const ACTIVATIONS: Record<string, AttentionOptions> = {
  softmax: { activation: "softmax" },
  softmax1: { activation: "softmax1" },
  entmax15: { activation: "entmax15" },
  sigmoid: { activation: "sigmoid" },
  "sigmoid of bias 0.5": { activation: "sigmoid", bias: 0.5 },
  "sigmoid / n": { activation: "sigmoid", bias: 0, divide: "n" },
  "sigmoid / sqrt n": { activation: "sigmoid", bias: 0, divide: "sqrt_n" },
  relu: { activation: "relu" },
  "relu / n": { activation: "relu", divide: "n" },
  relu2: { activation: "relu2" },
  "relu2 / sqrt n": { activation: "relu2", divide: "sqrt_n" },
};

/** An input of zeros and ones. */
function bits({ rng, feeds }: Setting, name: string, shape: number[]): Tensor {
  feeds[name] = Float64Array.from({ length: shape.reduce((a, b) => a * b) }, () => Number(rng.below(3) > 0));
  return input(name, shape);
}

/** Padding of keys known only on the device. */
function padded(s: Setting): { tensor: Tensor; seen: NonNullable<OracleOptions["mask"]> } {
  const tensor = bits(s, "there", [s.B, s.S]);
  return { tensor, seen: (b, _h, _i, j) => s.feeds.there[b * s.S + j] !== 0 };
}

export const KINDS: Record<string, (s: Setting) => Kind> = {
  causal: () => ({ options: {} }),
  "all keys": () => ({ options: { causal: false } }),
  "causal from the bottom right": () => ({ options: { causal: "bottom-right" } }),
  window: ({ rng }) => ({ options: { window: { size: between(rng, 1, 40) } } }),
  "window from the bottom right": ({ rng }) => ({
    options: { causal: "bottom-right", window: { size: between(rng, 1, 40) } },
  }),
  "symmetric window": ({ rng }) => ({
    options: { causal: false, window: { size: between(rng, 1, 20), symmetric: true } },
  }),
  "modulo key heads": () => ({ options: { kvHead: "modulo" } }),
  "key padding": (s) => {
    const { tensor, seen } = padded(s);
    return { options: { mask: m.keyPaddingMask(tensor) }, mask: seen };
  },
  "a mask with empty rows": (s) => {
    const tensor = bits(s, "seen", [s.T, s.S]);
    s.feeds.seen.fill(0, 0, 2 * s.S);
    return {
      options: { causal: false, mask: m.booleanMask(tensor) },
      mask: (_b, _h, i, j) => s.feeds.seen[i * s.S + j] !== 0,
    };
  },
  "documents with empty and full tiles": (s) => {
    for (const [name, size] of [["doc_q", s.T], ["doc_k", s.S]] as const) {
      s.feeds[name] = Float64Array.from({ length: s.B * size }, (_, at) => Math.floor(at % size / 32));
    }
    return {
      options: {
        causal: false,
        mask: m.documentMask(input("doc_q", [s.B, s.T]), input("doc_k", [s.B, s.S])),
      },
      mask: (_b, _h, i, j) => Math.floor(i / 32) === Math.floor(j / 32),
    };
  },
  ALiBi: ({ H }) => ({
    options: { score: m.alibi(H) },
    score: (s, _b, h, i, j) => s + Math.fround(m.alibiSlopes(H)[h]) * (j - i),
  }),
  "ALiBi from the bottom right": ({ H }) => ({
    options: { causal: "bottom-right", score: m.alibi(H) },
    score: (s, _b, h, i, j) => s + Math.fround(m.alibiSlopes(H)[h]) * (j - i),
  }),
  "a modifier that hides pairs and entire rows": () => {
    const [score, i, j] = ["score", "i", "j"].map(e.variable);
    const band = e.select(e.less(e.absolute(e.minus(i, e.plus(j, 4))), 3), score, -Infinity);
    return {
      options: { causal: false, score: m.modifier(band) },
      score: (x, _b, _h, row, key) => Math.abs(row - key - 4) < 3 ? x : -Infinity,
    };
  },
  "learned keys": ({ rng, S }) => ({ options: { extra: between(rng, 1, S - 1) } }),
  "learned keys behind a window from the bottom right": ({ rng, S }) => ({
    options: {
      causal: "bottom-right",
      window: { size: between(rng, 1, 20) },
      extra: between(rng, 1, Math.min(9, S - 1)),
    },
  }),
  "learned keys alone in some rows": (s) => {
    const tensor = bits(s, "seen", [s.T, s.S]);
    s.feeds.seen.fill(0, 0, 2 * s.S);
    return {
      options: { causal: false, mask: m.booleanMask(tensor), extra: between(s.rng, 1, s.S - 1) },
      mask: (_b, _h, i, j) => s.feeds.seen[i * s.S + j] !== 0,
    };
  },
  "a learned bias of each head inside a softcap, padded, in a window": (s) => {
    const { tensor, seen } = padded(s);
    const shift = randomInput(s.rng, s.feeds, "shift", [s.H]);
    return {
      options: {
        window: { size: between(s.rng, 5, 60) },
        mask: m.keyPaddingMask(tensor),
        score: m.compose(m.scoreBias(shift), m.softcap(3)),
        scale: 0.4,
      },
      score: (x, _b, h) => 3 * Math.tanh((x + s.feeds.shift[h]) / 3),
      mask: seen,
    };
  },
};

export const HIDING = "a modifier that hides pairs and entire rows";
export const LONGEST = "a learned bias of each head inside a softcap, padded, in a window";

export function setting(rng: RandomStream, largest: number): Setting {
  const [HKV, group] = [between(rng, 1, 3), between(rng, 1, 3)];
  const [T, S] = [between(rng, 2, largest), between(rng, 2, largest)];
  return { rng, feeds: {}, B: between(rng, 1, 3), T, S, H: HKV * group, HKV, d: between(rng, 1, 11) };
}

export function assertNear(
  results: Values,
  expected: readonly number[],
  tolerance: number,
  where: string,
  names: readonly string[] = NAMES,
): void {
  assert.equal(results.length, expected.length, where);
  expected.forEach((x, at) => {
    const error = Math.abs(results[at] - x) / Math.max(Math.abs(x), 1);
    if (Number.isNaN(x) && Number.isNaN(results[at])) return;
    const place = `${where}, head ${Math.floor(at / names.length)}, ${names[at % names.length]}`;
    assert.ok(error <= tolerance, `${place}: found ${results[at]}, expected ${x}`);
  });
}

export const GRADIENTS = ATTENTION_GRADIENT_STATISTICS;

/** Checks a case on all devices, the reference device in both precisions, against the dense computation. */
export async function check(
  s: Setting,
  make: (s: Setting) => Kind,
  where: string,
  { gradients = false } = {},
): Promise<void> {
  const { B, T, S, H, HKV, d, rng, feeds } = s;
  const [q, k] = [randomInput(rng, feeds, "q", [B, T, H, d]), randomInput(rng, feeds, "k", [B, S, HKV, d])];
  const v = randomInput(rng, feeds, "v", [B, S, HKV, 3]);
  const dz = randomInput(rng, feeds, "dz", [B, T, H, 3]);
  const kind = make(s);
  const repeated = between(rng, 1, S - 1);
  const z = attention(q, k, v, kind.options);
  const results = gradients ? attentionGradientStatistics(z, dz) : attentionStatistics(z, { repeated });
  const expected = gradients ? denseGradients(s, kind) : dense(s, kind, repeated);
  const label = `${where} B${B} T${T} S${S} H${H}/${HKV} d${d} ${kind.options.activation}`;
  const test = async (device: Device, tolerance: number, name: string) => {
    const values = await evaluate(device, { feeds, outputs: { results } });
    assertNear(values.results, expected, tolerance, `${label} on ${name}`, gradients ? GRADIENTS : NAMES);
  };
  // Equal definitions and short sums: only rounding, of float64 or of the float32 result.
  using f64 = referenceDevice({ precision: "f64" });
  using f32 = referenceDevice({ precision: "f32" });
  await test(f64, 1e-11, "the reference in float64");
  await test(f32, 1e-7, "the reference");
  // The tolerances of attention's kernels for outputs and gradients.
  for (const device of await kernelDevices()) await test(device, gradients ? 2e-5 : 1e-5, nameOf(device));
}
