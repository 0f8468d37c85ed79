// Conversion between Hugging Face's GPT-2 and heed's models: names, shapes and options, in both directions. No file access.
import type { Activation } from "../../../kernels/expression/activation.ts";
import { didYouMean, UserError } from "../../base/errors.ts";
import { describeValue, isMapping } from "../../base/show.ts";
import { blockOf, blocksOf } from "../../nn/architecture.ts";
import type { Architecture, Block, BlockChoices } from "../../nn/architecture.ts";
import { type BlockConfig, decoderParameters, type ModelConfig } from "../../nn/mod.ts";
import { type TensorData, toFloat32 } from "./safetensors.ts";

/** A float32 tensor in host memory. */
export interface FloatTensor {
  /** Its dimensions; the elements are in row-major order. */
  readonly shape: readonly number[];
  /** Its values. */
  readonly data: Float32Array;
}

/** The section `model` of a configuration, with only the keys that the imported format determines. */
export type ModelChoices = Partial<Omit<ModelConfig, "block">> & {
  block: Partial<Omit<BlockConfig, "mlp">> & { mlp: Partial<BlockConfig["mlp"]> };
};

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  gelu_fast: "gelu_tanh",
  gelu: "gelu",
  relu: "relu",
  relu2: "relu2",
  silu: "silu",
  swish: "silu",
};

/** Returns an activation's name in GPT-2's format, if it has one. */
const nameOf = (activation: Activation): string | undefined =>
  Object.keys(ACTIVATIONS).find((name) => ACTIVATIONS[name] === activation);

/** Keys of config.json for which heed supports only the value given here. */
const FIXED: Readonly<Record<string, unknown>> = {
  model_type: "gpt2",
  layer_norm_epsilon: 1e-5,
  scale_attn_weights: true,
  scale_attn_by_inverse_layer_idx: false,
  add_cross_attention: false,
};

/** Returns the value of a key of config.json; throws UserError unless it is a whole number of at least 1. */
function size(config: Record<string, unknown>, key: string, place: string): number {
  const value = config[key];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return value;
  throw new UserError(`${place}: ${key} is ${describeValue(value)}, expected a whole number of at least 1.`);
}

function probability(config: Record<string, unknown>, key: string, place: string): number {
  const value = config[key] ?? 0;
  if (typeof value === "number" && value >= 0 && value < 1) return value;
  throw new UserError(
    `${place}: ${key} is ${describeValue(value)}, expected a number of at least 0 and below 1.`,
  );
}

/**
 * Converts a GPT-2 `config.json` to the section `model` of a configuration. The model has learned positions, pre-norm
 * LayerNorm blocks with biases, and the tanh form of GELU for `gelu_new`. Its head is tied to the embedding unless
 * `tie_word_embeddings` is false. `embd_pdrop` becomes `dropout`, `resid_pdrop` becomes `block.dropout` (which heed also
 * applies to attention weights).
 *
 * @throws {UserError} for an invalid size, or an option that heed does not support
 *
 * @example
 * ```ts
 * import { fromGpt2Config } from "../mod.ts";
 * const sizes = { model_type: "gpt2", vocab_size: 50257, n_positions: 1024, n_embd: 768, n_layer: 12, n_head: 12 };
 * console.log(fromGpt2Config(sizes, "config.json").block.mlp.activation); // gelu_tanh
 * ```
 */
export function fromGpt2Config(raw: unknown, place: string): ModelChoices {
  if (!isMapping(raw)) {
    throw new UserError(`${place}: found ${describeValue(raw)}, expected an object of keys.`);
  }
  for (const [key, expected] of Object.entries(FIXED)) {
    if ((raw[key] ?? expected) === expected) continue;
    throw new UserError(
      `${place}: ${key} is ${describeValue(raw[key])}; heed supports only ${describeValue(expected)}.`,
    );
  }
  const [dim, heads] = [size(raw, "n_embd", place), size(raw, "n_head", place)];
  if (dim % heads) throw new UserError(`${place}: n_head ${heads} does not divide n_embd ${dim}.`);
  const inner = raw.n_inner === null || raw.n_inner === undefined ? 4 * dim : size(raw, "n_inner", place);
  if (inner % dim) throw new UserError(`${place}: n_inner ${inner} is not a multiple of n_embd ${dim}.`);
  const activation = String(raw.activation_function ?? "gelu_new");
  if (!Object.hasOwn(ACTIVATIONS, activation)) {
    const hint = didYouMean(activation, Object.keys(ACTIVATIONS));
    throw new UserError(`${place}: activation_function "${activation}" is unknown.${hint}`);
  }
  const std = raw.initializer_range;
  return {
    vocabulary: size(raw, "vocab_size", place),
    context: size(raw, "n_positions", place),
    dim,
    layers: size(raw, "n_layer", place),
    heads,
    positions: "learned",
    norm: "layernorm",
    bias: true,
    norm_bias: null,
    tied: raw.tie_word_embeddings !== false,
    dropout: probability(raw, "embd_pdrop", place),
    init: { name: "normal", std: typeof std === "number" && std > 0 ? std : 0.02, scaled_residual: true },
    block: {
      dropout: probability(raw, "resid_pdrop", place),
      mlp: { activation: ACTIVATIONS[activation], factor: inner / dim },
    },
  };
}

/** Matches the causal masks that older versions of transformers saved with the parameters; they are ignored. */
const MASK = /(^|\.)h\.\d+\.attn\.(bias|masked_bias)$/;

/** A parameter of heed and the GPT-2 tensor that holds it. GPT-2's Conv1D layers store a matrix as [in, out]. */
interface Place {
  readonly name: string;
  readonly shape: readonly number[];
  /** GPT-2's name, without "transformer.". */
  readonly gpt2: string;
  readonly conv: boolean;
  /** Index of this parameter in a tensor that fuses three (0 query, 1 key, 2 value); undefined if it is not fused. */
  readonly part?: number;
}

/** Lists every parameter of a model with these sizes, in GPT-2's order. */
function placesOf(
  { vocabulary, context, dim, layers, tied }: { [K in keyof Architecture]?: Architecture[K] },
  factor: number,
): Place[] {
  const D = dim!;
  const one = (name: string, gpt2: string, end: string, shape: number[], conv = false, part?: number) => {
    return { name: `${name}.${end}`, shape, gpt2: `${gpt2}.${end}`, conv, part };
  };
  const norm = (name: string, gpt2: string) => ["weight", "bias"].map((end) => one(name, gpt2, end, [D]));
  const layer = (name: string, gpt2: string, out: number, inner: number, part?: number) => [
    one(name, gpt2, "weight", [out, inner], true, part),
    one(name, gpt2, "bias", [out], false, part),
  ];
  const table = (name: string, gpt2: string, rows: number) => one(name, gpt2, "weight", [rows, D]);
  const blocks = Array.from({ length: layers! }, (_, n) => {
    const [heed, gpt2] = [`blocks.${n}`, `h.${n}`];
    return [
      ...norm(`${heed}.ln1`, `${gpt2}.ln_1`),
      ...["wq", "wk", "wv"].flatMap((name, part) =>
        layer(`${heed}.attn.${name}`, `${gpt2}.attn.c_attn`, D, D, part)
      ),
      ...layer(`${heed}.attn.wo`, `${gpt2}.attn.c_proj`, D, D),
      ...norm(`${heed}.ln2`, `${gpt2}.ln_2`),
      ...layer(`${heed}.mlp.fc`, `${gpt2}.mlp.c_fc`, factor * D, D),
      ...layer(`${heed}.mlp.proj`, `${gpt2}.mlp.c_proj`, D, factor * D),
    ];
  });
  return [
    table("embed", "wte", vocabulary!),
    table("pos_embed", "wpe", context!),
    ...blocks.flat(),
    ...norm("final_norm", "ln_f"),
    ...(tied ? [] : [table("unembed", "lm_head", vocabulary!)]),
  ];
}

/** Returns the shape of the GPT-2 tensor that holds a parameter; the tensor may fuse three parameters. */
function storedShape({ shape, conv, part }: Place): number[] {
  const [out, ...rest] = shape;
  const all = part === undefined ? out : 3 * out;
  return conv ? [...rest, all] : [all, ...rest];
}

/** Extracts one of heed's parameters from a stored tensor, and transposes it if the tensor belongs to a Conv1D layer. */
function partOf(stored: Float32Array, { shape: [out, inner = 1], conv, part = 0 }: Place, width: number) {
  if (!conv) return stored.subarray(part * out * inner, (part + 1) * out * inner);
  const data = new Float32Array(out * inner);
  for (let i = 0; i < inner; i++) {
    for (let o = 0, from = i * width + part * out; o < out; o++) data[o * inner + i] = stored[from + o];
  }
  return data;
}

/** Throws UserError if the file has fewer blocks than config.json says, before a list of `layers` blocks is allocated. */
function checkBlocks(names: Iterable<string>, layers: number, place: string): void {
  const numbers = new Set(
    Array.from(names, (name) => /^h\.(\d+)\./.exec(name)?.[1]).filter((n) => n !== undefined),
  );
  if (numbers.size >= layers) return;
  throw new UserError(`${place}: it has ${numbers.size} blocks, but n_layer in config.json is ${layers}.`);
}

/** Throws UserError if the file of a tied model contains a head that differs from the embedding; a copy is allowed. */
function checkHead(tensors: ReadonlyMap<string, TensorData>, { tied }: ModelChoices, place: string): void {
  const [head, embedding] = ["lm_head.weight", "wte.weight"].map((name) => tensors.get(name));
  if (!tied || !head || !embedding) return;
  const [a, b] = [toFloat32(head), toFloat32(embedding)];
  if (a.length === b.length && a.every((x, i) => Object.is(x, b[i]))) return;
  throw new UserError(
    `${place}: tensor lm_head.weight differs from wte.weight; expected the same, or tie_word_embeddings false in config.json.`,
  );
}

/**
 * Converts GPT-2's parameters to heed's names and shapes: `c_attn` is split into wq, wk and wv, the matrices of Conv1D layers
 * are transposed to [out, in], and masks and the copy of a tied head are left out. GPT-2's names may begin with
 * "transformer.".
 *
 * @param model the result of `fromGpt2Config`
 * @throws {UserError} if a tensor is missing, unknown or duplicated, or its shape does not match the sizes in config.json
 */
export function fromGpt2Tensors(
  tensors: ReadonlyMap<string, TensorData>,
  model: ModelChoices,
  place: string,
): Map<string, FloatTensor> {
  const byName = new Map<string, TensorData>();
  for (const [name, tensor] of tensors) {
    const key = name.replace(/^transformer\./, "");
    if (byName.has(key)) {
      throw new UserError(`${place}: tensor ${key} occurs twice: also as transformer.${key}.`);
    }
    byName.set(key, tensor);
  }
  checkBlocks(byName.keys(), model.layers!, place);
  const places = placesOf(model as Partial<Architecture>, model.block.mlp.factor!);
  const known = new Set(places.map(({ gpt2 }) => gpt2));
  const extra = [...byName.keys()].find((name) =>
    !known.has(name) && !MASK.test(name) && name !== "lm_head.weight"
  );
  if (extra !== undefined) {
    throw new UserError(`${place}: tensor ${extra} is not a tensor of GPT-2.${didYouMean(extra, known)}`);
  }
  checkHead(byName, model, place);
  // Each stored tensor is converted only once, because wq, wk and wv are parts of the same tensor.
  const cast = new Map<string, Float32Array>();
  return new Map(places.map((parameter) => {
    const { name, shape, gpt2 } = parameter;
    const tensor = byName.get(gpt2);
    const stored = storedShape(parameter);
    const expected = `[${stored.join(", ")}]`;
    if (!tensor) throw new UserError(`${place}: tensor ${gpt2} ${expected} is missing.`);
    const actual = `[${tensor.shape.join(", ")}]`;
    if (actual !== expected) {
      throw new UserError(
        `${place}: tensor ${gpt2} is ${actual}, expected ${expected} by the sizes in config.json.`,
      );
    }
    const data = cast.get(gpt2) ?? toFloat32(tensor);
    cast.set(gpt2, data);
    return [name, { shape, data: partOf(data, parameter, stored.at(-1)!) }];
  }));
}

/**
 * Returns the GPT-2 block with which a block is compared. Keys that do not affect the result have the values of the given
 * block.
 */
function plainBlock(architecture: Architecture, { dropout, attention, mlp }: Block): Block {
  const { per, kv_head, backward, method, kv_heads, value_dim } = attention;
  const [{ mlp: { activation, factor } }] = blocksOf(architecture);
  const choices: BlockChoices = {
    dropout,
    attention: {
      ...{ per, kv_head, backward, method },
      kv_heads: kv_heads === architecture.heads ? kv_heads : null,
      value_dim: value_dim === architecture.dim ? value_dim : null,
    },
    mlp: { activation, factor, method: mlp.method },
  };
  return blockOf({ ...architecture, norm: "layernorm", block: choices, blocks: undefined }, 0);
}

/** Returns the message "PATH.KEY is FOUND, GPT-2 has EXPECTED" for the first key whose values differ; undefined if none do. */
function difference(actual: object, expected: object, path: string): string | undefined {
  for (const [key, value] of Object.entries(expected)) {
    const entry = (actual as Record<string, unknown>)[key];
    if (isMapping(value)) {
      const inner = difference(entry as object, value, `${path}.${key}`);
      if (inner) return inner;
    } else if (entry !== value) {
      return `${path}.${key} is ${describeValue(entry)}, GPT-2 has ${describeValue(value)}`;
    }
  }
}

/** Throws UserError if GPT-2's format cannot represent a model. */
function checkFits(architecture: Architecture): void {
  const { positions, norm, hooks } = architecture;
  const [{ mlp: { activation } }] = blocksOf(architecture);
  const wrong = difference({ positions, norm }, { positions: "learned", norm: "layernorm" }, "model") ??
    blocksOf(architecture).map((block, n) =>
      difference(block, plainBlock(architecture, block), `model.blocks.${n}`)
    ).find((text) => text) ??
    (nameOf(activation) === undefined ? `model.block.mlp.activation is ${activation}` : undefined) ??
    (hooks ? "hooks.file changes the model" : undefined);
  if (wrong) throw new UserError(`${wrong}: GPT-2's format cannot represent this model.`);
}

/**
 * Returns the `config.json` of a model in GPT-2's format.
 *
 * @throws {UserError} if GPT-2's format cannot represent the model; the message names the key
 *
 * @example
 * ```ts
 * import { resolveConfig } from "../../../mod.ts";
 * import { toGpt2Config } from "../mod.ts";
 * const { model } = resolveConfig({ model: { dim: 32, layers: 2 } }, { place: "", name: "tiny" });
 * console.log(toGpt2Config({ ...model, vocabulary: 65 }).n_embd); // 32
 * ```
 */
export function toGpt2Config(architecture: Architecture): Record<string, unknown> {
  checkFits(architecture);
  const { vocabulary, context, dim, layers, heads, tied, dropout, init } = architecture;
  const [{ mlp, dropout: branches }] = blocksOf(architecture);
  return {
    activation_function: nameOf(mlp.activation),
    architectures: ["GPT2LMHeadModel"],
    attn_pdrop: branches,
    embd_pdrop: dropout,
    initializer_range: init.std,
    layer_norm_epsilon: 1e-5,
    model_type: "gpt2",
    n_embd: dim,
    n_head: heads,
    n_inner: mlp.factor === 4 ? null : mlp.factor * dim,
    n_layer: layers,
    n_positions: context,
    resid_pdrop: branches,
    // heed's texts have no end token; without these keys, transformers would use 50256.
    bos_token_id: null,
    eos_token_id: null,
    tie_word_embeddings: tied,
    vocab_size: vocabulary,
  };
}

/**
 * Converts parameters to GPT-2's names and shapes, for `model.safetensors`; the inverse of `fromGpt2Tensors`. Biases that the
 * model does not have are written as zeros.
 *
 * @throws {UserError} if GPT-2's format cannot represent the model, or a tensor is missing or has another shape
 */
export function toGpt2Tensors(
  tensors: ReadonlyMap<string, TensorData>,
  architecture: Architecture,
): Record<string, TensorData> {
  checkFits(architecture);
  const names = new Set(decoderParameters(architecture).map(({ name }) => name));
  const stored: Record<string, TensorData & { dtype: "F32" }> = {};
  for (const parameter of placesOf(architecture, blocksOf(architecture)[0].mlp.factor)) {
    const { name, shape: [out, inner = 1], gpt2, conv, part = 0 } = parameter;
    const shape = storedShape(parameter);
    const key = gpt2.startsWith("lm_head") ? gpt2 : `transformer.${gpt2}`;
    const tensor = tensors.get(name);
    const { data } = stored[key] ??= {
      dtype: "F32",
      shape,
      data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
    };
    // A bias that the model does not have stays zero.
    if (!names.has(name)) continue;
    const expected = parameter.shape.join(", ");
    if (tensor?.shape.join(", ") !== expected) {
      const actual = tensor ? `[${tensor.shape.join(", ")}]` : "missing";
      throw new UserError(`tensor ${name} is ${actual}, expected [${expected}].`);
    }
    const values = toFloat32(tensor);
    if (!conv) data.set(values, part * out * inner);
    else {
      for (let o = 0; o < out; o++) {
        for (let i = 0; i < inner; i++) data[i * shape[1] + part * out + o] = values[o * inner + i];
      }
    }
  }
  return stored;
}
