// Tiny decoders, one per option of a model, for the tests of this folder.
import { lookup, minus, times, variable } from "../../kernels/expression/expression.ts";
import { modifier } from "../../kernels/attention/modifier.ts";
import type { Architecture, BlockChoices, UserModifier } from "../../src/nn/architecture.ts";

/** Width 12, three heads of 4, two blocks, seven positions. */
export const TINY: Architecture = {
  vocabulary: 11,
  context: 7,
  dim: 12,
  layers: 2,
  heads: 3,
  positions: "learned",
  norm: "layernorm",
  bias: false,
  tied: false,
  dropout: 0,
  init: { std: 0.02, scaled_residual: true },
  block: {},
};

const [score, h, i, j] = ["score", "h", "i", "j"].map(variable);

/** A penalty on distance, with a learned slope per head. */
export const distance: UserModifier = {
  tables: ({ heads }) => ({ slope: { shape: [heads], start: 0.1 } }),
  modifier: ({ slope }, { heads }) =>
    modifier(minus(score, times(lookup("slope", [heads], h), minus(i, j))), { slope }),
};

const attention = (choices: BlockChoices["attention"]): Partial<Architecture> => ({
  block: { attention: choices },
});
const mlp = (choices: BlockChoices["mlp"]): Partial<Architecture> => ({ block: { mlp: choices } });

/** Options whose gradient is that of their loss. */
export const EXACT: Readonly<Record<string, Partial<Architecture>>> = {
  "the defaults": {},
  "biases and RMSNorm, tied": { bias: true, norm: "rmsnorm", tied: true },
  "norm biases alone": { norm_bias: true },
  "no positions": { positions: "none" },
  "sincos positions": { positions: "sincos" },
  "rope": { positions: "rope" },
  "rope of half pairs over a part": { positions: "rope", rope: { pairs: "half", rotary_dim: 2, base: 50 } },
  "alibi": { positions: "alibi" },
  "post-norm": { block: { norm_order: "post" } },
  "hybrid norm": { block: { norm_order: "hybrid", norm: "rmsnorm" }, bias: true },
  "softmax1": attention({ activation: "softmax1" }),
  "entmax15": attention({ activation: "entmax15" }),
  "sigmoid": attention({ activation: "sigmoid" }),
  "sigmoid with a fixed bias": attention({ activation: "sigmoid", bias: -1 }),
  "sigmoid with a bias and temperature a layer": attention({
    activation: "sigmoid",
    bias: "learned",
    temperature: "learned",
  }),
  "sigmoid with a bias and temperature a head": attention({
    activation: "sigmoid",
    bias: "learned",
    temperature: "learned",
    per: "head",
  }),
  "sigmoid over n": attention({ activation: "sigmoid", divide: "n" }),
  "relu over sqrt n": attention({ activation: "relu", divide: "sqrt_n" }),
  "relu squared over n": attention({ activation: "relu2", divide: "n" }),
  "a fixed temperature": attention({ temperature: 0.5 }),
  "softcap": attention({ softcap: 2 }),
  "a window": attention({ window: 3 }),
  "an expression of the score": attention({ score: "score - 0.3 * h * (i - j)" }),
  "a mask by an expression, and learned keys": attention({ mask: "i - j < 2 || j == 0", extra_keys: 2 }),
  "multi-query": attention({ kv_heads: 1 }),
  "grouped heads": { heads: 6, ...attention({ kv_heads: 2 }) },
  "grouped heads, modulo": { heads: 6, ...attention({ kv_heads: 2, kv_head: "modulo" }) },
  "wide values": attention({ value_dim: 18 }),
  "QK-norm": attention({ qk_norm: "layernorm" }),
  "QK-norm by RMS, with rope": { positions: "rope", ...attention({ qk_norm: "rmsnorm" }) },
  "extra keys": attention({ extra_keys: 2 }),
  "extra keys with alibi, a window and grouped heads": {
    positions: "alibi",
    heads: 6,
    ...attention({ extra_keys: 1, window: 2, kv_heads: 3 }),
  },
  "a modifier of one's own": attention({ modifier: distance }),
  "a modifier of one's own with extra keys": attention({ modifier: distance, extra_keys: 1 }),
  "LayerScale": { block: { attention: { layer_scale: 0.5 }, mlp: { layer_scale: 1e-4 } } },
  "tanh GELU": mlp({ activation: "gelu_tanh" }),
  "squared relu": mlp({ activation: "relu2" }),
  "SwiGLU": mlp({ activation: "silu", gated: true, factor: 2 }),
  "GEGLU with biases": { bias: true, ...mlp({ gated: true }) },
  "two blocks that differ": {
    blocks: [
      { attention: { activation: "softmax", window: 2 }, mlp: { activation: "relu" } },
      { attention: { activation: "sigmoid", kv_heads: 1 }, mlp: { gated: true }, norm_order: "hybrid" },
    ],
  },
};

/** Options whose gradient deliberately differs from that of their loss. */
export const SURROGATE: Readonly<Record<string, Partial<Architecture>>> = {
  "the diagonal of softmax's Jacobian": attention({ backward: "diag" }),
  "the straight-through softmax": attention({ backward: "ste" }),
  "feedback alignment": { block: { attention: { method: "fa" }, mlp: { method: "fa" } } },
  "feedback alignment with a gate and biases": { bias: true, ...mlp({ method: "fa", gated: true }) },
  "direct feedback alignment": { block: { attention: { method: "dfa" }, mlp: { method: "dfa" } } },
};
