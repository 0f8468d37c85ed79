// Attention in WebAssembly: nothing is left to TypeScript, the bytes do not depend on the number of threads, NaN comes out where
// the reference device has it, and shapes of several tiles agree with float64.
import assert from "node:assert/strict";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import * as m from "../../kernels/attention/modifier.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import * as e from "../../kernels/expression/expression.ts";
import { grad } from "../../kernels/gradient.ts";
import { randomStream } from "../../src/base/random.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { type Case, evaluate, randomInput, relativeError } from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";

/** Sizes of q [B, T, H, D], k [B, S, HKV, D], v [B, S, HKV, DV]. */
interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly HKV: number;
  readonly D: number;
  readonly DV: number;
}

type Add = (name: string, shape: number[], change?: (x: number, at: number) => number) => Tensor;
type Options = (add: Add) => AttentionOptions;

/** z and the gradients of a random case; tensors that `options` adds get gradients too if `learns`. */
function caseOf({ B, T, S, H, HKV, D, DV }: Sizes, options: Options, learns = false): Case {
  const rng = randomStream(1, `attention ${[B, T, S, H, HKV, D, DV]}`);
  const feeds: Record<string, Values> = {};
  const wrt: Record<string, Tensor> = {
    q: randomInput(rng, feeds, "q", [B, T, H, D]),
    k: randomInput(rng, feeds, "k", [B, S, HKV, D]),
    v: randomInput(rng, feeds, "v", [B, S, HKV, DV]),
  };
  const chosen = options((name, shape, change) => {
    const tensor = randomInput(rng, feeds, name, shape, 0.5);
    if (change) feeds[name] = feeds[name].map(change);
    if (learns) wrt[name] = tensor;
    return tensor;
  });
  if (chosen.dropout) feeds.seed = Uint32Array.of(7, 3);
  const z = attention(wrt.q, wrt.k, wrt.v, chosen);
  const slopes = grad(sumAll(multiply(z, randomInput(rng, feeds, "dz", [B, T, H, DV]))), Object.values(wrt));
  const gradients = Object.keys(wrt).map((name, i) => [`d${name}`, slopes[i]]);
  return {
    feeds,
    outputs: { z, ...Object.fromEntries(gradients) },
    label: JSON.stringify(chosen.activation),
  };
}

const [SCORE, H, I, J] = ["score", "h", "i", "j"].map(e.variable);
const distance = e.min(16, e.absolute(e.minus(I, J)));

const KINDS: Record<string, Options> = {
  softmax: () => ({}),
  softmax1: () => ({ activation: "softmax1", causal: false }),
  entmax15: () => ({ activation: "entmax15" }),
  sigmoid: () => ({ activation: "sigmoid" }),
  "relu / n": () => ({ activation: "relu", divide: "n" }),
  "relu2 / sqrt n": () => ({ activation: "relu2", divide: "sqrt_n" }),
  diag: () => ({ backward: "diag" }),
  ste: () => ({ backward: "ste" }),
  window: () => ({ window: { size: 20 }, causal: "bottom-right" }),
  "symmetric window": () => ({ window: { size: 20, symmetric: true }, causal: false }),
  "learned keys": () => ({ extra: 2, kvHead: "modulo" }),
  "known mask": () => ({ causal: false, mask: m.orMasks(m.prefixMask(40), m.causalMask) }),
  "mask of data": (add) => ({ mask: m.booleanMask(add("visible", [150, 150], (x) => Number(x > 0))) }),
  // Documents of 40 rows: most tiles are empty, some between two that are not.
  documents: (add) => {
    const ids = (name: string) => add(name, [2, 150], (_, at) => Math.floor(at % 150 / 40) % 2);
    return { mask: m.documentMask(ids("doc_q"), ids("doc_k")) };
  },
  dropout: () => ({ dropout: { p: 0.3, site: 5, seed: input("seed", [2], "u32") } }),
};
const LEARNED: Record<string, Options> = {
  "table of distances": (add) => ({
    score: m.modifier(e.plus(SCORE, e.lookup("distance", [17], distance)), {
      distance: add("distance", [17]),
    }),
  }),
  "temperature by head": (add) => ({
    activation: "sigmoid",
    score: m.modifier(e.times(SCORE, e.lookup("tau", [4], H)), { tau: add("tau", [4]) }),
  }),
};
const SIZES: Sizes = { B: 2, T: 150, S: 150, H: 4, HKV: 2, D: 12, DV: 7 };

Deno.test("no operation of attention or its gradients runs in TypeScript", async () => {
  using device = cpuDevice({ threads: 1 });
  for (const [name, options] of Object.entries({ ...KINDS, ...LEARNED })) {
    using program = await device.compile({ outputs: caseOf(SIZES, options, name in LEARNED).outputs });
    const left = program.inTypeScript.filter((op) => op.startsWith("attention") || op === "block_mask");
    assert.deepEqual(left, [], name);
  }
});

/** Asserts that z and the gradients equal those of float64 to 1e-5, relative. */
async function checkCase(name: string, testCase: Case): Promise<void> {
  using oracle = referenceDevice({ precision: "f64" });
  using device = cpuDevice({ threads: 2 });
  const [expected, actual] = [await evaluate(oracle, testCase), await evaluate(device, testCase)];
  for (const key of Object.keys(expected)) {
    const error = relativeError(actual[key], expected[key]);
    assert.ok(error <= 1e-5, `${name} ${key}: relative error ${error}`);
  }
}

Deno.test("attention of several tiles: z and gradients to 1e-5 of float64, for every kind", async () => {
  for (const [name, options] of Object.entries({ ...KINDS, ...LEARNED })) {
    await checkCase(name, caseOf(SIZES, options, name in LEARNED));
  }
});

// With at most four queries, keys and values are read without packing if their sizes allow it.
Deno.test("attention of a few queries: z and gradients to 1e-5 of float64, NaN as on the reference device", async () => {
  const last: Options = () => ({ causal: "bottom-right" });
  const cases: Record<string, Options> = {
    "bottom-right": last,
    window: KINDS.window,
    entmax15: () => ({ causal: "bottom-right", activation: "entmax15" }),
  };
  for (const [name, options] of Object.entries(cases)) {
    for (const T of [1, 3]) await checkCase(name, caseOf({ ...SIZES, T, S: 136, DV: 8 }, options));
    await checkCase(name, caseOf({ ...SIZES, T: 2, S: 37, D: 5 }, options));
  }
  await checkNonFinite(caseOf({ B: 1, T: 2, S: 8, H: 2, HKV: 1, D: 4, DV: 8 }, last));
});

Deno.test("attention has the same bytes with one, two and three threads", async () => {
  for (const options of [KINDS.softmax, KINDS.entmax15, KINDS.dropout]) {
    await checkThreads(caseOf(SIZES, options), ["attention", "attention_gradient"]);
  }
  await checkThreads(caseOf(SIZES, KINDS["mask of data"]), ["block_mask", "attention", "attention_gradient"]);
  for (const options of Object.values(LEARNED)) {
    await checkThreads(caseOf(SIZES, options, true), ["attention_table_gradient"]);
  }
  // One head: the keys are divided between blocks, whose parts of dq are added.
  const one = { ...SIZES, B: 1, T: 300, S: 300, H: 1, HKV: 1 };
  await checkThreads(caseOf(one, KINDS.softmax), ["attention", "attention_gradient"]);
});

for (const [name, options] of Object.entries(KINDS)) {
  if (name === "mask of data" || name === "documents" || name === "dropout") continue;
  Deno.test(`attention with NaN or infinity in an input (${name}) equals the reference device, hidden pairs too`, () =>
    checkNonFinite(caseOf({ B: 1, T: 9, S: 11, H: 2, HKV: 2, D: 4, DV: 5 }, (add) => {
      const chosen = options(add);
      return chosen.window ? { ...chosen, window: { ...chosen.window, size: 3 } } : chosen;
    })));
}
