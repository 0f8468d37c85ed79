// The keys that describe a model: the whole, and each block. They stand apart because they are many.

import {
  type AttentionActivation,
  type AttentionChoice,
  attentionNames,
} from "../../kernels/attention/activations.ts";
import { z } from "./zod.ts";
import {
  flag,
  fraction,
  integer,
  nonEmptyText,
  numberOr,
  numeric,
  oneOf,
  oneOfOrNull,
  positive,
  section,
} from "./fields.ts";

/** One block, every key present. */
export type BlockConfig = {
  norm_order: "pre" | "post" | "hybrid";
  norm: "layernorm" | "rmsnorm" | null;
  attention: {
    activation: AttentionActivation;
    divide: AttentionChoice<"divide">;
    bias: "auto" | "learned" | number;
    temperature: "learned" | number | null;
    per: "layer" | "head";
    softcap: number | null;
    window: number | null;
    kv_heads: number | null;
    kv_head: AttentionChoice<"kvHead">;
    value_dim: number | null;
    qk_norm: "layernorm" | "rmsnorm" | null;
    backward: AttentionChoice<"backward">;
    extra_keys: number;
    modifier: { file: string; name: string } | null;
    layer_scale: number | null;
    method: "bp" | "fa" | "dfa";
  };
  mlp: {
    activation: "gelu" | "gelu_tanh" | "relu" | "relu2" | "silu";
    gated: boolean;
    factor: number;
    method: "bp" | "fa" | "dfa";
    layer_scale: number | null;
  };
  dropout: number | null;
};

/** `model` of a configuration, every key present. */
export type ModelConfig = {
  context: number;
  dim: number;
  layers: number;
  heads: number;
  vocabulary: number | null;
  positions: "learned" | "none" | "sincos" | "rope" | "alibi";
  rope: { base: number; pairs: "interleaved" | "half"; rotary_dim: number | null };
  norm: "layernorm" | "rmsnorm";
  bias: boolean;
  norm_bias: boolean | null;
  tied: boolean;
  head: { method: "bp" | "fa" | "dfa" | null };
  dropout: number;
  init: { name: "normal" | "truncated_normal" | "xavier_uniform"; std: number; scaled_residual: boolean };
  block: BlockConfig;
  blocks: BlockConfig[];
};

const OR_NULL = ", or null";
const METHODS = ["bp", "fa", "dfa"] as const;
const METHOD =
  "How the error goes back through the matrices: their transposes (bp), fixed random ones in their place (fa), or for " +
  "each straight from the logits through a fixed random one of its own (dfa).";
const SCALE = "LayerScale: start of a learned factor for each number that the branch adds; null: none.";

const attention = section({
  activation: oneOf(...attentionNames("activation")).default("softmax").describe(
    "From scores to pattern; softmax1 has one more logit 0 in its denominator.",
  ),
  divide: oneOf(...attentionNames("divide")).default("none").describe(
    "Element-wise activations divided by the number of visible keys, or its root.",
  ),
  bias: numberOr("auto", "learned").default("auto").describe(
    "Added to the scores. auto is -ln(model.context) for a sigmoid that is not divided, else 0; learned starts there.",
  ),
  temperature: z.union([z.literal("learned"), numeric("", (n) => n)], { error: "learned, a number, or null" })
    .nullable().default(null).describe("Scores times e^temperature; learned starts at 0; null: none."),
  per: oneOf("layer", "head").default("layer").describe(
    "One learned bias and temperature a layer, or one a head.",
  ),
  softcap: positive(OR_NULL).nullable().default(null).describe(
    "c: scores s become c tanh(s / c); null: none.",
  ),
  window: integer(1, OR_NULL).nullable().default(null).describe(
    "Keys less than so many positions behind the query; null: all up to it.",
  ),
  kv_heads: integer(1, OR_NULL).nullable().default(null).describe(
    "Heads of keys and values, a divisor of model.heads; null: as many. 1 is multi-query.",
  ),
  kv_head: oneOf(...attentionNames("kvHead")).default("grouped").describe(
    "Head h reads key head floor(h kv_heads / heads), or h mod kv_heads.",
  ),
  value_dim: integer(1, OR_NULL).nullable().default(null).describe(
    "Width of all heads' values together, a multiple of model.heads; null: model.dim.",
  ),
  qk_norm: oneOfOrNull("layernorm", "rmsnorm").default(null).describe(
    "Normalises queries and keys over the head, before rotation; null: not.",
  ),
  backward: oneOf(...attentionNames("backward")).default("exact").describe(
    "Gradient of a softmax: as it is, without its lateral sum, or as the identity.",
  ),
  extra_keys: integer(0).default(0).describe("Learned keys and values that every query sees."),
  modifier: section({
    file: nonEmptyText().describe("TypeScript file, relative to the working folder."),
    name: nonEmptyText().describe("Name of its export."),
  }).nullable().default(null).describe("A score modifier of your own; null: none."),
  layer_scale: numeric("a number, or null", (n) => n).nullable().default(null).describe(SCALE),
  method: oneOf(...METHODS).default("bp").describe(METHOD),
});

const mlp = section({
  activation: oneOf("gelu", "gelu_tanh", "relu", "relu2", "silu").default("gelu").describe(
    "gelu is the exact one (erf), relu2 the square of relu.",
  ),
  gated: flag().default(false).describe(
    "act(gate) times a second matrix: with silu SwiGLU, with gelu GEGLU.",
  ),
  factor: integer(1).default(4).describe("Hidden width over model.dim."),
  method: oneOf(...METHODS).default("bp").describe(METHOD),
  layer_scale: numeric("a number, or null", (n) => n).nullable().default(null).describe(SCALE),
});

const block = section({
  norm_order: oneOf("pre", "post", "hybrid").default("pre").describe(
    "Each branch f: x + f(norm(x)), norm(x + f(x)), or x + norm(f(norm(x))).",
  ),
  norm: oneOfOrNull("layernorm", "rmsnorm").default(null).describe("Normalisation; null: model.norm."),
  attention: attention.prefault({}).describe("Causal self-attention."),
  mlp: mlp.prefault({}).describe("The feed-forward half of a block."),
  dropout: fraction(OR_NULL).nullable().default(null).describe(
    "Probability of a zero on pattern and branches; null: model.dropout.",
  ),
});

/** The validator of `model`. */
export const model = section({
  context: integer(1).default(64).describe("Tokens the model sees at once."),
  dim: integer(1).default(128).describe("Width of the residual stream."),
  layers: integer(1).default(4).describe("Number of blocks."),
  heads: integer(1).default(4).describe("Attention heads a block; divides dim."),
  vocabulary: integer(1, OR_NULL).nullable().default(null).describe(
    "Token ids the model has room for, at least the tokenizer's; null: the tokenizer's.",
  ),
  positions: oneOf("learned", "none", "sincos", "rope", "alibi").default("learned").describe(
    "What tells positions apart: learned or sincos rows added to the embedding, rotated queries and keys, or ALiBi.",
  ),
  rope: section({
    base: positive().default(10000).describe("Pair i turns by base^(-2i / rotary_dim) a position."),
    pairs: oneOf("interleaved", "half").default("interleaved").describe(
      "Pairs are neighbours, or numbers half of rotary_dim apart.",
    ),
    rotary_dim: integer(2, OR_NULL).nullable().default(null).describe(
      "Numbers of a head that are rotated, even; null: all.",
    ),
  }).prefault({}).describe("Rotary positions."),
  norm: oneOf("layernorm", "rmsnorm").default("layernorm").describe(
    "Normalisation of the blocks and before the head.",
  ),
  bias: flag().default(false).describe("Biases in linear layers, and in LayerNorm where norm_bias is null."),
  norm_bias: z.boolean({ error: "true, false or null" }).nullable().default(null).describe(
    "Biases in LayerNorm; null: as bias.",
  ),
  tied: flag().default(true).describe("The output head is the token embedding."),
  head: section({
    method: oneOfOrNull(...METHODS).default(null).describe(
      "How the error of the logits goes back through the head: fa and dfa, which are one here and need tied: false, through " +
        "a fixed random matrix; with bp beside fa in the blocks, the last block sees the true gradient. null: as the blocks.",
    ),
  }).prefault({}).describe("The output head."),
  dropout: fraction().default(0).describe("Probability of a zero on embedding, pattern and branches."),
  init: section({
    name: oneOf("normal", "truncated_normal", "xavier_uniform").default("normal").describe(
      "normal(0, std), the same drawn again beyond two deviations, or uniform within sqrt(6 / (out + in)).",
    ),
    std: positive().default(0.02).describe("Standard deviation of the initial weights; Xavier has its own."),
    scaled_residual: flag().default(true).describe(
      "Divides std by sqrt(2 layers) for the matrices that write into the residual stream (GPT-2).",
    ),
  }).prefault({}).describe("Initial matrices."),
  block: block.prefault({}).describe("What every block is made of."),
  blocks: z.array(block, { error: "a list of blocks" }).default([]).describe(
    "What is special about each block in turn, on top of block; the last entry is repeated.",
  ),
});
