// The dense oracle itself: against PyTorch wherever there are golden numbers, and its surrogate gradients by hand.
import assert from "node:assert/strict";
import { attentionNames } from "../../kernels/attention/activations.ts";
import { alibiSlopes } from "../../kernels/attention/modifier.ts";
import { attentionCase, oracleOptions } from "../../src/check/attention_cases.ts";
import { attentionOracle, attentionOracleGradient, type OracleOptions } from "../../src/check/oracle.ts";
import { UserError } from "../../src/base/errors.ts";
import { type AttentionGolden, attentionGolden, attentionGoldenNames } from "../golden/attention_golden.ts";
import { relativeError } from "../kernels/harness.ts";

type Build = (golden: AttentionGolden) => OracleOptions;
type Pair = (b: number, h: number, i: number, j: number) => boolean;

const causal: Pair = (_b, _h, i, j) => j <= i;
const shifted = (bias: number): OracleOptions => ({ score: (s) => s + bias, slope: () => 1 });
/** A boolean array [B or 1, H or 1, T, S]. */
const given: Build = ({ mask: { shape, data } }) => {
  const [B, H, T, S] = [...new Array(4 - shape.length).fill(1), ...shape];
  return { mask: (b, h, i, j) => data[(((b % B) * H + h % H) * T + i) * S + j] !== 0 };
};
const elementwise = (options: OracleOptions): Build => (golden) => ({ ...options, ...given(golden) });
const scaled = (activation: OracleOptions["activation"]): Build => ({ tau, bias }) => ({
  activation,
  mask: causal,
  score: (s, _b, h) => s * Math.exp(tau.data[0]) + bias.data[h],
  slope: () => Math.exp(tau.data[0]),
});

const CASES: Record<string, Build> = {
  "sdpa full": () => ({}),
  "sdpa causal": () => ({ mask: causal }),
  "sdpa causal, T != S": () => ({ mask: causal }),
  "sdpa boolean mask": given,
  "sdpa scale": () => ({ scale: 0.25 }),
  softmax: given,
  softmax1: elementwise({ activation: "softmax1" }),
  entmax15: elementwise({ activation: "entmax15" }),
  sigmoid: elementwise({ activation: "sigmoid", ...shifted(-Math.log(7)) }),
  "sigmoid of bias -1.5": elementwise({ activation: "sigmoid", ...shifted(-1.5) }),
  "sigmoid / n": elementwise({ activation: "sigmoid", divide: "n" }),
  "sigmoid / sqrt n": elementwise({ activation: "sigmoid", divide: "sqrt_n" }),
  relu: elementwise({ activation: "relu" }),
  "relu / n": elementwise({ activation: "relu", divide: "n" }),
  relu2: elementwise({ activation: "relu2" }),
  "relu2 / n": elementwise({ activation: "relu2", divide: "n" }),
  "entmax15 of four times the scores": () => ({
    activation: "entmax15",
    mask: causal,
    score: (s) => 4 * s,
    slope: () => 4,
  }),
  "window 3": () => ({ mask: (_b, _h, i, j) => j <= i && i - j < 3 }),
  "symmetric window 2": () => ({ mask: (_b, _h, i, j) => Math.abs(i - j) < 2 }),
  "prefix-LM": () => ({ mask: (_b, _h, i, j) => j <= i || j < 3 }),
  documents: ({ documents_q, documents_k }) => ({
    mask: (b, _h, i, j) => j <= i && documents_q.data[b * 5 + i] === documents_k.data[b * 7 + j],
  }),
  "key padding": ({ valid }) => ({ mask: (b, _h, i, j) => j <= i && valid.data[b * 7 + j] === 1 }),
  "learned temperature and bias": scaled("softmax"),
  "learned temperature and bias, sigmoid": scaled("sigmoid"),
  "ALiBi for 6 heads": () => ({
    mask: causal,
    score: (s, _b, h, i, j) => s + alibiSlopes(6)[h] * (j - i),
    slope: () => 1,
  }),
  "softcap 1.5": () => ({
    mask: causal,
    score: (s) => 1.5 * Math.tanh(s / 1.5),
    slope: (s) => 1 - Math.tanh(s / 1.5) ** 2,
  }),
  "learned distance table": ({ table }) => ({
    score: (s, _b, _h, i, j) => s + table.data[Math.min(5, Math.abs(i - j))],
    slope: () => 1,
  }),
  "modulo heads": () => ({ mask: causal, kvHead: "modulo" }),
  "causal from the bottom right": () => ({ mask: (_b, _h, i, j) => j <= i + 4 - 6 }),
};

Deno.test("every golden case of attention is checked by the oracle", () => {
  assert.deepEqual(attentionGoldenNames(), Object.keys(CASES));
});

for (const [name, build] of Object.entries(CASES)) {
  Deno.test(`the oracle equals PyTorch, values and gradients: ${name}`, () => {
    const golden = attentionGolden(name);
    const { q, k, v, dz } = golden;
    const options = build(golden);
    const gradients = attentionOracleGradient(q, k, v, dz, options);
    const actual = { z: attentionOracle(q, k, v, options).z, ...gradients };
    for (const key of ["z", "dq", "dk", "dv"] as const) {
      // Both are float64; the file keeps twelve digits.
      assert.ok(relativeError(actual[key], golden[key].data, 0.1) < 1e-10, key);
    }
  });
}

Deno.test("the gradient of a learned table is the sum of ds over the pairs that read each entry", () => {
  const golden = attentionGolden("learned distance table");
  const { q, k, v, dz } = golden;
  const { ds } = attentionOracleGradient(q, k, v, dz, CASES["learned distance table"](golden));
  const numeric = new Float64Array(6);
  ds.forEach((x, at) => numeric[Math.min(5, Math.abs(Math.floor(at / 7) % 5 - at % 7))] += x);
  assert.ok(relativeError(numeric, golden.dtable.data) < 1e-10);
});

Deno.test("diag and ste leave z and dv unchanged, and a single key gets a gradient only from ste", () => {
  const one = { shape: [1, 1, 1, 2], data: [1, 2] };
  const gradient = (backward: "exact" | "diag" | "ste") =>
    attentionOracleGradient(one, one, one, one, { backward, scale: 1 });
  assert.deepEqual([...gradient("exact").dq], [0, 0]);
  assert.deepEqual([...gradient("diag").dq], [0, 0]);
  // ds = dz . v = 5, dq = ds k.
  assert.deepEqual([...gradient("ste").dq], [5, 10]);
  for (const backward of ["exact", "diag", "ste"] as const) {
    assert.deepEqual([...gradient(backward).dv], [1, 2]);
  }
});

Deno.test("diag is a (1 - a) g: over two keys of equal weight a quarter of what each value gives", () => {
  const [q, k] = [{ shape: [1, 1, 1, 1], data: [1] }, { shape: [1, 2, 1, 1], data: [0, 0] }];
  const v = { shape: [1, 2, 1, 1], data: [4, 8] };
  const { ds } = attentionOracleGradient(q, k, v, q, { backward: "diag" });
  assert.deepEqual([...ds], [1, 2]);
  assert.deepEqual([...attentionOracleGradient(q, k, v, q).ds], [-1, 1]);
});

Deno.test("a fully masked row is zeros without gradient under every activation", () => {
  const { q, k, v, dz, ...rest } = attentionCase(1);
  for (const activation of attentionNames("activation")) {
    const options = { ...oracleOptions({ ...rest, q, k, v, dz, activation }), mask: () => false };
    assert.ok(attentionOracle(q, k, v, options).z.every((x) => x === 0));
    const gradients = attentionOracleGradient(q, k, v, dz, options);
    for (const x of Object.values(gradients)) assert.ok((x as Float64Array).every((value) => value === 0));
  }
});

Deno.test("shapes that do not match and a score without its derivative are errors of one line", () => {
  const { q, k, v, dz } = attentionCase(0);
  assert.throws(() => attentionOracle(q, v, k), UserError);
  assert.throws(() => attentionOracleGradient(q, k, v, q), UserError);
  assert.throws(
    () => attentionOracleGradient(q, k, v, dz, { score: (s) => s }),
    /require its derivative slope/,
  );
});
