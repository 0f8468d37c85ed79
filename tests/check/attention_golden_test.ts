// The attention family against PyTorch: scaled_dot_product_attention, and plain float64 PyTorch for what it has no
// function for. On the float64 oracle, and on WebGPU under both schedules.
import assert from "node:assert/strict";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import * as m from "../../kernels/attention/modifier.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import * as e from "../../kernels/expression/expression.ts";
import { grad } from "../../kernels/gradient.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import {
  type AttentionGolden,
  attentionGolden,
  attentionGoldenNames,
  goldenInputs,
} from "../golden/attention_golden.ts";
import { assertGolden } from "./golden_harness.ts";

/** How a case is asked for: what is learned, what the masks read, and the options made of them. */
interface Asked {
  readonly learned?: readonly string[];
  readonly given?: readonly string[];
  options(x: Record<string, Tensor>): AttentionOptions;
}

const masked = (options: AttentionOptions): Asked => ({
  given: ["mask"],
  options: ({ mask }) => ({ ...options, causal: false, mask: m.booleanMask(mask) }),
});
const plain = (options: AttentionOptions): Asked => ({ options: () => options });
const scaled = (options: AttentionOptions): Asked => ({
  learned: ["tau", "bias"],
  options: ({ tau, bias }) => ({ ...options, score: m.compose(m.temperature(tau), m.scoreBias(bias)) }),
});

const [SCORE, I, J] = ["score", "i", "j"].map(e.variable);

const CASES: Record<string, Asked> = {
  "sdpa full": plain({ causal: false }),
  "sdpa causal": plain({}),
  "sdpa causal, T != S": plain({}),
  "sdpa boolean mask": masked({}),
  "sdpa scale": plain({ causal: false, scale: 0.25 }),
  softmax: masked({}),
  softmax1: masked({ activation: "softmax1" }),
  entmax15: masked({ activation: "entmax15" }),
  sigmoid: masked({ activation: "sigmoid", bias: "auto" }),
  "sigmoid of bias -1.5": masked({ activation: "sigmoid", bias: -1.5 }),
  "sigmoid / n": masked({ activation: "sigmoid", bias: 0, divide: "n" }),
  "sigmoid / sqrt n": masked({ activation: "sigmoid", bias: 0, divide: "sqrt_n" }),
  relu: masked({ activation: "relu" }),
  "relu / n": masked({ activation: "relu", divide: "n" }),
  relu2: masked({ activation: "relu2" }),
  "relu2 / n": masked({ activation: "relu2", divide: "n" }),
  "entmax15 of four times the scores": plain({ activation: "entmax15", score: m.temperature(Math.log(4)) }),
  "window 3": plain({ window: { size: 3 } }),
  "symmetric window 2": plain({ causal: false, window: { size: 2, symmetric: true } }),
  "prefix-LM": plain({ causal: false, mask: m.orMasks(m.prefixMask(3), m.causalMask) }),
  documents: {
    given: ["documents_q", "documents_k"],
    options: (x) => ({ mask: m.documentMask(x.documents_q, x.documents_k) }),
  },
  "key padding": { given: ["valid"], options: ({ valid }) => ({ mask: m.keyPaddingMask(valid) }) },
  "learned temperature and bias": scaled({}),
  "learned temperature and bias, sigmoid": scaled({ activation: "sigmoid", bias: 0 }),
  "ALiBi for 6 heads": plain({ score: m.alibi(6) }),
  "softcap 1.5": plain({ score: m.softcap(1.5) }),
  "learned distance table": {
    learned: ["table"],
    options: ({ table }) => {
      const distance = e.min(5, e.absolute(e.minus(J, I)));
      return {
        causal: false,
        score: m.modifier(e.plus(SCORE, e.lookup("table", [6], distance)), { table }),
      };
    },
  },
  "modulo heads": plain({ kvHead: "modulo" }),
  "causal from the bottom right": plain({ causal: "bottom-right" }),
};

/** z and every gradient of a case, by their names in the golden file. */
function outputsOf(golden: AttentionGolden, { learned = [], given = [], options }: Asked) {
  const wrt = ["q", "k", "v", ...learned];
  const { tensors, feeds } = goldenInputs(golden, [...wrt, "dz", ...given]);
  const { q, k, v, dz } = tensors;
  const z = attention(q, k, v, options(tensors));
  const slopes = grad(sumAll(multiply(z, dz)), wrt.map((name) => tensors[name]));
  return { feeds, outputs: { z, ...Object.fromEntries(wrt.map((name, i) => [`d${name}`, slopes[i]])) } };
}

Deno.test("every golden case of attention is tested", () => {
  assert.deepEqual(attentionGoldenNames(), Object.keys(CASES));
});

for (const [name, asked] of Object.entries(CASES)) {
  Deno.test(`attention equals PyTorch, values and every gradient: ${name}`, () => {
    const golden = attentionGolden(name);
    return assertGolden(name, golden, outputsOf(golden, asked));
  });
}
