// The keys that describe a model: the whole, and each block. Types, defaults, validator and documentation come from here.
import { ATTENTION_CHOICES } from "../../kernels/attention/activations.ts";
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import type { Keys, KeyValues } from "../base/keys.ts";
import { NORMS } from "./norms.ts";
import { POSITION_SECTIONS } from "./position_scheme.ts";
import { POSITIONS } from "./positions.ts";

/**
 * How an error goes back through a linear layer y = x W^T + b. In each, dW = dy^T x and db = the sum of dy.
 * - bp: dx = dy W.
 * - fa, feedback alignment: dx = dy B, B fixed and random, of W's shape. The head is a layer too (`model.head.method`).
 * - dfa, direct feedback alignment: dx = e B with e = dL/dlogits and B [V, in], fixed and random; and for the matrices that write
 *   into the residual stream (wo, mlp.proj) dy = e B' too, B' [V, out]. So no weight of a block sees the stream's gradient, which
 *   goes on to norms, scales and embeddings alone.
 *
 * `exact`: by the layer's own weights. `direct`: straight from the logits.
 */
export const METHODS = {
  bp: { exact: true, direct: false },
  fa: { exact: false, direct: false },
  dfa: { exact: false, direct: true },
};

/** Where a branch f of a block is normalised: its input, its output, or the sum x + f(x). Hybrid is Apple's and Gemma 2's. */
export const NORM_ORDERS = {
  pre: { input: true, output: false, sum: false },
  post: { input: false, output: false, sum: true },
  hybrid: { input: true, output: true, sum: false },
};

/** What matrices are drawn from at the start; Xavier's deviation follows from the shape (Glorot and Bengio 2010). */
export const INITS = {
  normal: { distribution: "normal" },
  truncated_normal: { distribution: "truncated_normal" },
  xavier_uniform: {
    distribution: "uniform",
    std: ([out, inner]: readonly number[]): number => Math.sqrt(2 / (out + inner)),
  },
} as const;

const METHOD = {
  oneOf: METHODS,
  default: "bp",
  doc:
    "How the error goes back through the matrices: their transposes (bp), fixed random ones in their place (fa), or for " +
    "each straight from the logits through a fixed random one of its own (dfa).",
} as const;

const LAYER_SCALE = {
  is: "number",
  default: null,
  doc: "LayerScale: start of a learned factor for each number that the branch adds; null: none.",
} as const;

const ACTIVATION_DOCS = Object.entries(ATTENTION_CHOICES.activation).map(([name, { doc }]) =>
  `${name} ${doc}`
)
  .join("; ");

const ATTENTION = {
  activation: {
    oneOf: ATTENTION_CHOICES.activation,
    default: "softmax",
    doc: `From scores s to pattern: ${ACTIVATION_DOCS}.` as string,
  },
  divide: {
    oneOf: ATTENTION_CHOICES.divide,
    default: "none",
    doc: "Element-wise activations divided by the number of visible keys, or its root.",
  },
  bias: {
    oneOf: ["auto", "learned"],
    is: "number",
    default: "auto",
    doc:
      "Added to the scores. auto is -ln(model.context) for a sigmoid that is not divided, else 0; learned starts there.",
  },
  temperature: {
    oneOf: ["learned"],
    is: "number",
    default: null,
    doc: "Scores times e^temperature; learned starts at 0; null: none.",
  },
  per: {
    oneOf: ["layer", "head"],
    default: "layer",
    doc: "One learned bias and temperature a layer, or one a head.",
  },
  softcap: { is: "positive", default: null, doc: "c: scores s become c tanh(s / c); null: none." },
  window: {
    least: 1,
    default: null,
    doc: "Keys less than so many positions behind the query; null: all up to it.",
  },
  kv_heads: {
    least: 1,
    default: null,
    doc: "Heads of keys and values, a divisor of model.heads; null: as many. 1 is multi-query.",
  },
  kv_head: {
    oneOf: ATTENTION_CHOICES.kvHead,
    default: "grouped",
    doc: "Head h reads key head floor(h kv_heads / heads), or h mod kv_heads.",
  },
  value_dim: {
    least: 1,
    default: null,
    doc: "Width of all heads' values together, a multiple of model.heads; null: model.dim.",
  },
  qk_norm: {
    oneOf: NORMS,
    default: null,
    doc: "Normalises queries and keys over the head, before rotation; null: not.",
  },
  backward: {
    oneOf: ATTENTION_CHOICES.backward,
    default: "exact",
    doc: "Gradient of a softmax: as it is, without its lateral sum, or as the identity.",
  },
  extra_keys: { least: 0, default: 0, doc: "Learned keys and values that every query sees." },
  score: {
    is: "text",
    default: null,
    doc: 'An expression that replaces the score, such as "score - 0.1 * (i - j)"; null: none.',
  },
  mask: {
    is: "text",
    default: null,
    doc:
      'An expression that is not 0 where a key is seen, besides those after the query: "i - j < 8 || j == 0"; null: none.',
  },
  modifier: {
    keys: {
      file: { is: "text", doc: "TypeScript file, relative to the working folder." },
      name: { is: "text", doc: "Name of its export." },
    },
    default: null,
    doc: "A score modifier of your own; null: none.",
  },
  layer_scale: LAYER_SCALE,
  method: METHOD,
} as const satisfies Keys;

const MLP = {
  activation: {
    oneOf: ACTIVATIONS,
    default: "gelu",
    doc: "gelu is the exact one (erf), relu2 the square of relu.",
  },
  gated: {
    is: "flag",
    default: false,
    doc: "act(gate) times a second matrix: with silu SwiGLU, with gelu GEGLU.",
  },
  factor: { least: 1, default: 4, doc: "Hidden width over model.dim." },
  method: METHOD,
  layer_scale: LAYER_SCALE,
} as const satisfies Keys;

const BLOCK = {
  norm_order: {
    oneOf: NORM_ORDERS,
    default: "pre",
    doc: "Each branch f: x + f(norm(x)), norm(x + f(x)), or x + norm(f(norm(x))).",
  },
  norm: { oneOf: NORMS, default: null, doc: "Normalisation; null: model.norm." },
  attention: { keys: ATTENTION, doc: "Causal self-attention." },
  mlp: { keys: MLP, doc: "The feed-forward half of a block." },
  dropout: {
    is: "fraction",
    default: null,
    doc: "Probability of a zero on pattern and branches; null: model.dropout.",
  },
} as const satisfies Keys;

/** The keys of `model` in a configuration: what each may be, its default and what it means. */
export const MODEL_KEYS = {
  context: { least: 1, default: 64, doc: "Tokens the model sees at once." },
  dim: { least: 1, default: 128, doc: "Width of the residual stream." },
  layers: { least: 1, default: 4, doc: "Number of blocks." },
  heads: { least: 1, default: 4, doc: "Attention heads a block; divides dim." },
  vocabulary: {
    least: 1,
    default: null,
    doc: "Token ids the model has room for, at least the tokenizer's; null: the tokenizer's.",
  },
  positions: {
    oneOf: POSITIONS,
    default: "learned",
    doc:
      "What tells positions apart: learned or sincos rows added to the embedding, rotated queries and keys, or ALiBi.",
  },
  ...POSITION_SECTIONS,
  norm: { oneOf: NORMS, default: "layernorm", doc: "Normalisation of the blocks and before the head." },
  bias: {
    is: "flag",
    default: false,
    doc: "Biases in linear layers, and in LayerNorm where norm_bias is null.",
  },
  norm_bias: { is: "flag", default: null, doc: "Biases in LayerNorm; null: as bias." },
  tied: { is: "flag", default: true, doc: "The output head is the token embedding." },
  head: {
    keys: {
      method: {
        oneOf: METHODS,
        default: null,
        doc:
          "How the error of the logits goes back through the head: fa and dfa, which are one here and need tied: false, through " +
          "a fixed random matrix; with bp beside fa in the blocks, the last block sees the true gradient. null: as the blocks.",
      },
    },
    doc: "The output head.",
  },
  dropout: { is: "fraction", default: 0, doc: "Probability of a zero on embedding, pattern and branches." },
  init: {
    keys: {
      name: {
        oneOf: INITS,
        default: "normal",
        doc:
          "normal(0, std), the same drawn again beyond two deviations, or uniform within sqrt(6 / (out + in)).",
      },
      std: {
        is: "positive",
        default: 0.02,
        doc: "Standard deviation of the initial weights; Xavier has its own.",
      },
      scaled_residual: {
        is: "flag",
        default: true,
        doc: "Divides std by sqrt(2 layers) for the matrices that write into the residual stream (GPT-2).",
      },
    },
    doc: "Initial matrices.",
  },
  block: { keys: BLOCK, doc: "What every block is made of." },
  blocks: {
    entries: BLOCK,
    expected: "a list of blocks",
    doc: "What is special about each block in turn, on top of block; the last entry is repeated.",
  },
} as const satisfies Keys;

/** `model` of a configuration, every key present. What a key means is said once, in {@link MODEL_KEYS}. */
export type ModelConfig = KeyValues<typeof MODEL_KEYS>;

/** One block of a configuration, every key present. */
export type BlockConfig = ModelConfig["block"];
