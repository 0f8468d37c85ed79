// The configuration keys of a model and of its blocks. Their types, defaults, validator and documentation are derived from
// these tables.
import { ATTENTION_CHOICES } from "../../kernels/attention/activations.ts";
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import type { Keys, KeyValues } from "../base/keys.ts";
import { NORMS } from "./norms.ts";
import { POSITION_SECTIONS } from "./position_scheme.ts";
import { POSITIONS } from "./positions.ts";

/**
 * Backward passes of a linear layer y = x W^T + b. In each, dW = dy^T x and db = sum dy.
 * - bp, backpropagation: dx = dy W.
 * - fa, feedback alignment: dx = dy B, where B is fixed, random and has W's shape. By default, the output head uses it too (see
 *   `model.head.method`).
 * - dfa, direct feedback alignment: dx = e B, where e = dL/dlogits, and B [V, in] is fixed and random. For the matrices that
 *   write into the residual stream (wo, mlp.proj), dy is also replaced, by e B' with B' [V, out]. So the gradient of the
 *   residual stream reaches no weight matrix of a block, only norms, scales and embeddings.
 *
 * `exact` is true if the error passes backward through the layer's weights; `direct` is true if it comes directly from the
 * logits.
 */
export const METHODS = {
  bp: { exact: true, direct: false },
  fa: { exact: false, direct: false },
  dfa: { exact: false, direct: true },
};

/**
 * Says for each `norm_order` what is normalised around a branch f of a block: its input, its output, or the sum x + f(x). Gemma
 * 2 and Apple's sigmoid attention models use hybrid.
 */
export const NORM_ORDERS = {
  pre: { input: true, output: false, sum: false },
  post: { input: false, output: false, sum: true },
  hybrid: { input: true, output: true, sum: false },
};

/**
 * The distributions of initial matrices. `std` computes Xavier's standard deviation from a matrix's shape (Glorot and Bengio
 * 2010).
 */
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
    "Backward pass of the linear layers: through their weights (bp), through fixed random matrices instead (fa, feedback " +
    "alignment), or from the logits straight to each layer through a fixed random matrix (dfa, direct feedback alignment).",
} as const;

const LAYER_SCALE = {
  is: "number",
  default: null,
  doc: "LayerScale: initial value of a learned factor per channel of the branch's output; null: no factor.",
} as const;

const ACTIVATION_DOCS = Object.entries(ATTENTION_CHOICES.activation).map(([name, { doc }]) =>
  `${name} ${doc}`
)
  .join("; ");

const ATTENTION = {
  activation: {
    oneOf: ATTENTION_CHOICES.activation,
    default: "softmax",
    doc: `Function from the scores s to the pattern (attention weights): ${ACTIVATION_DOCS}.` as string,
  },
  divide: {
    oneOf: ATTENTION_CHOICES.divide,
    default: "none",
    doc: "Divides the weights of element-wise activations by n, the number of visible keys, or by sqrt(n).",
  },
  bias: {
    oneOf: ["auto", "learned"],
    is: "number",
    default: "auto",
    doc:
      "Bias added to the scores. auto: -ln(model.context) for sigmoid with divide none, else 0. learned: a parameter that " +
      "starts at the value of auto.",
  },
  temperature: {
    oneOf: ["learned"],
    is: "number",
    default: null,
    doc:
      "The scores are multiplied by e^temperature; learned: a parameter that starts at 0; null: no factor.",
  },
  per: {
    oneOf: ["layer", "head"],
    default: "layer",
    doc: "Whether there is one learned bias or temperature per layer, or one per head.",
  },
  softcap: { is: "positive", default: null, doc: "Soft cap c of the scores s: c tanh(s / c); null: no cap." },
  window: {
    least: 1,
    default: null,
    doc: "Sliding window: the number of keys that a query sees, up to its own position; null: all of them.",
  },
  kv_heads: {
    least: 1,
    default: null,
    doc: "Number of key and value heads, a divisor of model.heads; null: model.heads. 1: multi-query.",
  },
  kv_head: {
    oneOf: ATTENTION_CHOICES.kvHead,
    default: "grouped",
    doc: "Key/value head of query head h. grouped: floor(h kv_heads / heads). modulo: h mod kv_heads.",
  },
  value_dim: {
    least: 1,
    default: null,
    doc: "Total width of the values over all heads, a multiple of model.heads; null: model.dim.",
  },
  qk_norm: {
    oneOf: NORMS,
    default: null,
    doc: "Normalises the queries and keys of each head, before rotary positions; null: no normalisation.",
  },
  backward: {
    oneOf: ATTENTION_CHOICES.backward,
    default: "exact",
    doc:
      "Backward pass of softmax. exact. diag: only the diagonal of the Jacobian. ste: the identity (straight-through).",
  },
  extra_keys: { least: 0, default: 0, doc: "Number of learned keys and values that every query sees." },
  score: {
    is: "text",
    default: null,
    doc: 'Expression that replaces the score, such as "score - 0.1 * (i - j)"; null: none.',
  },
  mask: {
    is: "text",
    default: null,
    doc: "Expression that is nonzero if query i may attend to key j, combined with the causal mask: " +
      '"i - j < 8 || j == 0"; null: none.',
  },
  modifier: {
    keys: {
      file: { is: "text", doc: "TypeScript file, relative to the working directory." },
      name: { is: "text", doc: "Name of the export." },
    },
    default: null,
    doc: "Score modifier from a TypeScript file; null: none.",
  },
  layer_scale: LAYER_SCALE,
  method: METHOD,
} as const satisfies Keys;

const MLP = {
  activation: {
    oneOf: ACTIVATIONS,
    default: "gelu",
    doc: "Activation function: gelu is the exact GELU (erf), relu2 the square of relu.",
  },
  gated: {
    is: "flag",
    default: false,
    doc: "Gated MLP: act(gate(x)) times a second projection of x; SwiGLU with silu, GEGLU with gelu.",
  },
  factor: { least: 1, default: 4, doc: "Hidden width, as a multiple of model.dim." },
  method: METHOD,
  layer_scale: LAYER_SCALE,
} as const satisfies Keys;

const BLOCK = {
  norm_order: {
    oneOf: NORM_ORDERS,
    default: "pre",
    doc:
      "Norms around each branch f. pre: x + f(norm(x)). post: norm(x + f(x)). hybrid: x + norm(f(norm(x))).",
  },
  norm: { oneOf: NORMS, default: null, doc: "Normalisation layer; null: model.norm." },
  attention: { keys: ATTENTION, doc: "Causal self-attention." },
  mlp: { keys: MLP, doc: "The feed-forward layer." },
  dropout: {
    is: "fraction",
    default: null,
    doc: "Dropout probability of the attention pattern and of each branch's output; null: model.dropout.",
  },
} as const satisfies Keys;

/** The keys of `model` in a configuration: the allowed values, default and meaning of each. */
export const MODEL_KEYS = {
  context: { least: 1, default: 64, doc: "Context length: the most tokens the model sees at once." },
  dim: { least: 1, default: 128, doc: "Width of the residual stream." },
  layers: { least: 1, default: 4, doc: "Number of blocks." },
  heads: { least: 1, default: 4, doc: "Attention heads per block, a divisor of dim." },
  vocabulary: {
    least: 1,
    default: null,
    doc: "Vocabulary size, not below that of the tokenizer; null: that of the tokenizer.",
  },
  positions: {
    oneOf: POSITIONS,
    default: "learned",
    doc:
      "Position encoding: learned or sinusoidal (sincos) position embeddings added to the token embeddings, rotary queries " +
      "and keys (rope), ALiBi (alibi), or none.",
  },
  ...POSITION_SECTIONS,
  norm: {
    oneOf: NORMS,
    default: "layernorm",
    doc: "Normalisation layers in the blocks and before the output head.",
  },
  bias: {
    is: "flag",
    default: false,
    doc: "Whether linear layers have biases; also applies to LayerNorm if norm_bias is null.",
  },
  norm_bias: { is: "flag", default: null, doc: "Whether LayerNorm has a bias; null: as model.bias." },
  tied: { is: "flag", default: true, doc: "Ties the output head to the token embedding." },
  head: {
    keys: {
      method: {
        oneOf: METHODS,
        default: null,
        doc:
          "Backward pass of the output head. fa and dfa both use a fixed random matrix here and need tied: false. With bp " +
          "here and fa in the blocks, the last block receives the true gradient. null: the method of the blocks.",
      },
    },
    doc: "The output head.",
  },
  dropout: {
    is: "fraction",
    default: 0,
    doc: "Dropout probability of the embedding, the attention pattern and each branch's output.",
  },
  init: {
    keys: {
      name: {
        oneOf: INITS,
        default: "normal",
        doc:
          "Distribution. normal: N(0, std^2). truncated_normal: the same, with values beyond two standard deviations redrawn. " +
          "xavier_uniform: uniform within +-sqrt(6 / (out + in)).",
      },
      std: {
        is: "positive",
        default: 0.02,
        doc: "Standard deviation of the initial weights; not used by xavier_uniform.",
      },
      scaled_residual: {
        is: "flag",
        default: true,
        doc: "Divides std by sqrt(2 layers) for the matrices that write into the residual stream (GPT-2).",
      },
    },
    doc: "Initialisation of the matrices.",
  },
  block: { keys: BLOCK, doc: "The settings of every block." },
  blocks: {
    entries: BLOCK,
    expected: "a list of blocks",
    doc: "Overrides of block for each block in turn; the last entry applies to all further blocks.",
  },
} as const satisfies Keys;

/** The section `model` of a configuration, with every key present. {@link MODEL_KEYS} documents the keys. */
export type ModelConfig = KeyValues<typeof MODEL_KEYS>;

/** One block of a configuration, with every key present. */
export type BlockConfig = ModelConfig["block"];
