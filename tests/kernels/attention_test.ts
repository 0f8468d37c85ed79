import assert from "node:assert/strict";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import * as m from "../../kernels/attention/modifier.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import * as e from "../../kernels/expression/expression.ts";
import { grad } from "../../kernels/gradient.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input, literal } from "../../src/graph/structure.ts";
import { sizeOf, type Tensor, type Values } from "../../src/graph/tensor.ts";
import { opsGolden, type OpTensor } from "../golden/golden.ts";
import {
  between,
  type Case,
  checkGradient,
  checkKernel,
  evaluate,
  randomInput,
  relativeError,
} from "./harness.ts";

type Tested = Case & { wrt: Record<string, Tensor> };

/** Sizes, feeds and inputs of a random case, to which options are added. */
interface Setting {
  readonly rng: RandomStream;
  readonly feeds: Record<string, Values>;
  readonly wrt: Record<string, Tensor>;
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly HKV: number;
}

/** q, k, v of random odd sizes: T != S, d != dv, grouped heads, rows without visible keys. */
function setting(rng: RandomStream, largest: number): Setting {
  const [B, HKV, group] = [between(rng, 1, 2), between(rng, 1, 3), between(rng, 1, 3)];
  const [T, S] = [between(rng, 1, largest), between(rng, 1, largest)];
  const [d, dv] = [between(rng, 1, 11), between(rng, 1, 11)];
  const feeds = {};
  const wrt = {
    q: randomInput(rng, feeds, "q", [B, T, HKV * group, d]),
    k: randomInput(rng, feeds, "k", [B, S, HKV, d]),
    v: randomInput(rng, feeds, "v", [B, S, HKV, dv]),
  };
  return { rng, feeds, wrt, B, T, S, H: HKV * group, HKV };
}

/** An input of zeros and ones. */
function bits({ rng, feeds }: Setting, name: string, shape: number[]): Tensor {
  feeds[name] = Float64Array.from({ length: sizeOf(shape) }, () => rng.below(2));
  return input(name, shape);
}

/** Random document ids that grow along the sequence. */
function growing({ rng, feeds, B }: Setting, name: string, length: number): Tensor {
  const values = new Float64Array(B * length);
  for (let b = 0; b < B; b++) {
    for (let i = 1; i < length; i++) {
      values[b * length + i] = values[b * length + i - 1] + Number(rng.below(9) === 0);
    }
  }
  feeds[name] = values;
  return input(name, [B, length]);
}

/** A learned input of the case: its gradient is checked too. */
function learned({ rng, feeds, wrt }: Setting, name: string, shape: number[]): Tensor {
  return wrt[name] = randomInput(rng, feeds, name, shape, 0.5);
}

const [SCORE, H, I, J] = ["score", "h", "i", "j"].map(e.variable);

/** Every activation with its options. */
const ACTIVATIONS: Record<string, AttentionOptions> = {
  softmax: { activation: "softmax" },
  softmax1: { activation: "softmax1" },
  entmax15: { activation: "entmax15" },
  sigmoid: { activation: "sigmoid" },
  "sigmoid of bias -1.5": { activation: "sigmoid", bias: -1.5 },
  "sigmoid / n": { activation: "sigmoid", bias: 0, divide: "n" },
  "sigmoid / sqrt n": { activation: "sigmoid", bias: 0, divide: "sqrt_n" },
  relu: { activation: "relu" },
  "relu / n": { activation: "relu", divide: "n" },
  relu2: { activation: "relu2" },
  "relu2 / n": { activation: "relu2", divide: "n" },
};

/** Cases of all modifiers and masks. */
const FAMILY: Record<string, (s: Setting) => AttentionOptions> = {
  "all keys": () => ({ causal: false }),
  causal: () => ({ causal: "top-left" }),
  "causal from the bottom right": () => ({ causal: "bottom-right" }),
  window: ({ rng }) => ({
    window: { size: between(rng, 1, 40) },
    causal: rng.below(2) ? "bottom-right" : "top-left",
  }),
  "symmetric window": ({ rng }) => ({
    causal: false,
    window: { size: between(rng, 1, 40), symmetric: true },
  }),
  "prefix-LM": ({ rng }) => ({
    causal: false,
    mask: m.orMasks(m.prefixMask(between(rng, 1, 20)), m.causalMask),
  }),
  documents: (s) => ({ mask: m.documentMask(growing(s, "doc_q", s.T), growing(s, "doc_k", s.S)) }),
  "boolean [T, S]": (s) => ({ causal: false, mask: m.booleanMask(bits(s, "seen", [s.T, s.S])) }),
  "boolean [B, 1, T, S]": (s) => ({
    causal: false,
    mask: m.booleanMask(bits(s, "seen", [s.B, 1, s.T, s.S])),
  }),
  "boolean [H, T, S] known on the host": (s) => {
    const numbers = Float32Array.from(
      { length: s.H * s.T * s.S },
      (_, at) => Number(Math.floor(at / 40) % 3 === 0),
    );
    return { causal: false, mask: m.booleanMask(literal(numbers, [s.H, s.T, s.S])) };
  },
  "key padding": (s) => ({ mask: m.keyPaddingMask(bits(s, "there", [s.B, s.S])) }),
  "ragged lengths": (s) => {
    s.feeds.lengths = Float64Array.from({ length: s.B }, () => between(s.rng, 0, s.S));
    return { causal: false, mask: m.keyLengths(input("lengths", [s.B])) };
  },
  "fixed temperature and bias": () => ({ score: m.compose(m.temperature(0.3), m.scoreBias(-0.7)) }),
  "learned temperature and bias": (s) => ({
    score: m.compose(m.temperature(learned(s, "tau", [1])), m.scoreBias(learned(s, "shift", [s.H]))),
  }),
  ALiBi: ({ H }) => ({ score: m.alibi(H) }),
  softcap: () => ({ score: m.softcap(1.5) }),
  "a learned table of distances": (s) => {
    const table = learned(s, "distance", [17]);
    const distance = e.min(16, e.absolute(e.minus(I, J)));
    return {
      causal: false,
      score: m.modifier(e.plus(SCORE, e.lookup("distance", [17], distance)), { distance: table }),
    };
  },
  "a learned slope of distance inside a softcap": (s) => {
    const slope = learned(s, "slope", [s.H]);
    const penalty = m.modifier(e.minus(SCORE, e.times(e.lookup("slope", [s.H], H), e.minus(I, J))), {
      slope,
    });
    return { score: m.compose(penalty, m.softcap(3)) };
  },
  "modulo key heads": () => ({ kvHead: "modulo" }),
  "everything at once": (s) => ({
    window: { size: between(s.rng, 5, 60) },
    kvHead: "modulo",
    mask: m.andMasks(
      m.keyPaddingMask(bits(s, "there", [s.B, s.S])),
      m.orMasks(m.prefixMask(3), m.causalMask),
    ),
    score: m.compose(m.temperature(learned(s, "tau", [s.H])), m.alibi(s.H), m.softcap(4)),
  }),
};

/** A random case of the family. */
function random(largest: number, build: (s: Setting) => AttentionOptions, dropped = false) {
  return (rng: RandomStream): Tested => {
    const s = setting(rng, largest);
    const options = build(s);
    if (dropped) s.feeds.seed = Uint32Array.of(rng.uint32(), rng.uint32());
    const dropout = dropped ? { p: 0.3, site: 5, seed: input("seed", [2], "u32") } : undefined;
    const z = attention(s.wrt.q, s.wrt.k, s.wrt.v, { ...options, dropout });
    const label = `B${s.B} T${s.T} S${s.S} H${s.H}/${s.HKV} d${s.wrt.q.shape[3]} dv${
      s.wrt.v.shape[3]
    } ${options.activation}`;
    return { feeds: s.feeds, wrt: s.wrt, outputs: { z }, label };
  };
}

/** The output and the gradients of q, k, v and learned tables, as outputs. */
function withGradients(make: (rng: RandomStream) => Tested) {
  return (rng: RandomStream): Case => {
    const { feeds, wrt, outputs: { z }, label } = make(rng);
    const dz = randomInput(rng, feeds, "dz", [...z.shape]);
    const names = Object.keys(wrt);
    const slopes = grad(sumAll(multiply(z, dz)), names.map((name) => wrt[name]));
    return {
      feeds,
      outputs: { z, ...Object.fromEntries(names.map((name, i) => [`d${name}`, slopes[i]])) },
      label,
    };
  };
}

// If a row sees one key the exact gradient of softmax is 0, and the result is the rounding error of terms of size 1.
const TOLERANCE = { tolerance: 1e-4, floor: 0.1 };
const names = Object.keys(ACTIVATIONS);
/** Activations alternate over the family, so that its cases cover all pairs. */
const turn = (rng: RandomStream): AttentionOptions => ACTIVATIONS[names[rng.below(names.length)]];

for (const [name, options] of Object.entries(ACTIVATIONS)) {
  // The two most used activations test the kernels; the others differ only in an expression.
  const count = name === "softmax" || name === "sigmoid" ? 20 : 5;
  Deno.test(`attention with ${name}: z to 1e-5 of float64 on WebGPU`, () => {
    return checkKernel(`attention ${name}`, random(70, () => options), { floor: 1e-3, count });
  });
  Deno.test(`attention with ${name}: gradients to 1e-4 of float64 on WebGPU`, () => {
    return checkKernel(`attention gradients ${name}`, withGradients(random(60, () => options)), {
      ...TOLERANCE,
      count,
    });
  });
  Deno.test(`attention with ${name}: gradients equal central differences`, () => {
    return checkGradient(`attention ${name}`, random(7, () => options), { count: 20 });
  });
}
for (const [name, build] of Object.entries(FAMILY)) {
  const mixed = (s: Setting) => ({ ...turn(s.rng), ...build(s) });
  Deno.test(`attention with ${name}: z and gradients to 1e-4 of float64 on WebGPU`, () => {
    return checkKernel(`family ${name}`, withGradients(random(100, mixed)), { ...TOLERANCE, count: 5 });
  });
  Deno.test(`attention with ${name}: gradients equal central differences`, () => {
    return checkGradient(`family ${name}`, random(9, mixed), { count: 20 });
  });
}
for (const activation of ["softmax", "sigmoid"] as const) {
  Deno.test(`${activation} attention with dropout equals float64 on WebGPU, forward and backward`, () => {
    return checkKernel(`${activation} dropout`, withGradients(random(40, () => ({ activation }), true)), {
      ...TOLERANCE,
      count: 4,
    });
  });
  Deno.test(`${activation} attention with dropout has the gradient of central differences`, () => {
    return checkGradient(`${activation} dropout`, random(7, () => ({ activation }), true), { count: 5 });
  });
  Deno.test(`${activation} attention equals PyTorch`, async () => {
    const golden = opsGolden()[`${activation}_attention`] as unknown as Record<string, OpTensor>;
    const feeds = Object.fromEntries(
      ["q", "k", "v", "do"].map((name) => [name, Float64Array.from(golden[name].data)]),
    );
    const [q, k, v, dz] = ["q", "k", "v", "do"].map((name) => input(name, golden[name].shape));
    const z = attention(q, k, v, { activation });
    const [dq, dk, dv] = grad(sumAll(multiply(z, dz)), [q, k, v]);
    using oracle = referenceDevice({ precision: "f64" });
    const results = await evaluate(oracle, { feeds, outputs: { dq, dk, dv } });
    // Both are float64, and the golden file has at least nine digits.
    for (const name of ["dq", "dk", "dv"]) {
      assert.ok(relativeError(results[name], golden[name].data) < 1e-8, name);
    }
  });
}

for (const backward of ["diag", "ste"] as const) {
  Deno.test(`the ${backward} backward of softmax equals its float64 definition on WebGPU`, () => {
    return checkKernel(backward, withGradients(random(60, () => ({ backward }))), { ...TOLERANCE, count: 5 });
  });
  Deno.test(`the ${backward} backward of softmax equals the dense definition`, async () => {
    const s = setting(randomStream(1, backward), 9);
    const { outputs } = withGradients(() => ({
      ...s,
      outputs: { z: attention(s.wrt.q, s.wrt.k, s.wrt.v, { backward, causal: false }) },
    }))(s.rng);
    using oracle = referenceDevice({ precision: "f64" });
    const results = await evaluate(oracle, { feeds: s.feeds, outputs });
    const expected = denseSurrogate(s, backward);
    assert.ok(relativeError(results.dq, expected) < 1e-12);
  });
}

/** dq of a surrogate gradient, computed densely: ds = a (1 - a) g or g, g = dz . v, dq = scale ds k. */
function denseSurrogate({ feeds, wrt, B, T, S, H, HKV }: Setting, backward: "diag" | "ste"): Float64Array {
  const [d, dv] = [wrt.q.shape[3], wrt.v.shape[3]];
  const dq = new Float64Array(B * T * H * d);
  const dot = (a: Values, i: number, b: Values, j: number, n: number) => {
    let sum = 0;
    for (let x = 0; x < n; x++) sum += a[i + x] * b[j + x];
    return sum;
  };
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const kv = Math.floor(h * HKV / H);
      for (let i = 0; i < T; i++) {
        const q = (b * T + i) * H + h;
        const key = (j: number) => (b * S + j) * HKV + kv;
        const scores = Array.from(
          { length: S },
          (_, j) => dot(feeds.q, q * d, feeds.k, key(j) * d, d) / Math.sqrt(d),
        );
        const top = Math.max(...scores);
        const total = scores.reduce((sum, s) => sum + Math.exp(s - top), 0);
        for (let j = 0; j < S; j++) {
          const a = Math.exp(scores[j] - top) / total;
          const g = dot(feeds.dz, q * dv, feeds.v, key(j) * dv, dv);
          const ds = backward === "diag" ? a * (1 - a) * g : g;
          for (let x = 0; x < d; x++) dq[q * d + x] += ds * feeds.k[key(j) * d + x] / Math.sqrt(d);
        }
      }
    }
  }
  return dq;
}

Deno.test("a query without visible keys gives zeros and no gradient", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  const [q, k, v] = [input("q", [1, 5, 1, 3]), input("k", [1, 2, 1, 3]), input("v", [1, 2, 1, 3])];
  const z = attention(q, k, v, { causal: "bottom-right" });
  const [dq] = grad(sumAll(z), [q]);
  const feeds = {
    q: new Float64Array(15).fill(1),
    k: new Float64Array(6).fill(1),
    v: new Float64Array(6).fill(1),
  };
  const results = await evaluate(oracle, { feeds, outputs: { z, dq } });
  assert.deepEqual([...results.z.subarray(0, 9), ...results.dq.subarray(0, 9)], new Array(18).fill(0));
  assert.deepEqual([...results.z.subarray(9)], new Array(6).fill(1));
});

Deno.test("ALiBi's slopes for 8 and for 12 heads are the paper's", () => {
  assert.deepEqual(m.alibiSlopes(8), [1, 2, 3, 4, 5, 6, 7, 8].map((h) => 2 ** -h));
  assert.deepEqual(m.alibiSlopes(12).slice(8), [0.5, 1.5, 2.5, 3.5].map((h) => 2 ** -h));
});

Deno.test("invalid arguments of attention are an error of one line with what was found and what fits", () => {
  const [q, k] = [input("q", [1, 5, 3, 4]), input("k", [1, 5, 2, 4])];
  const q4 = input("q", [1, 5, 4, 4]);
  const wrong = (text: RegExp, build: () => unknown) => {
    assert.throws(
      build,
      (error) => error instanceof UserError && text.test(error.message) && !error.message.includes("\n"),
    );
  };
  wrong(/Hkv divides H, found f32\[1, 5, 3, 4\]/, () => attention(q, k, k));
  wrong(
    /unknown activation "sofmax".*"softmax"/,
    () => attention(q4, k, k, { activation: "sofmax" as "softmax" }),
  );
  wrong(/"diag" is for softmax/, () => attention(q4, k, k, { activation: "relu", backward: "diag" }));
  wrong(/unknown variable "scor".*"score"/, () => m.modifier(e.times(2, e.variable("scor"))));
  wrong(
    /unknown table "slop".*"slope"/,
    () => m.modifier(e.lookup("slop", [4], H), { slope: input("slope", [4]) }),
  );
  wrong(
    /table "visible" is \[5, 6\], expected 5 \(S\)/,
    () => attention(q4, k, k, { mask: m.booleanMask(input("x", [5, 6])) }),
  );
});
