// Direct logit attribution: decomposes a logit into the contributions of the model's parts to the residual stream. The device
// computes the activations; the host computes the contributions in float64.
import { embedding } from "../../kernels/embedding/op.ts";
import { textBehind } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { literal } from "../graph/structure.ts";
import type { Tensor, Values } from "../graph/tensor.ts";
import { blockOf, blocksOf } from "../nn/architecture.ts";
import { checkLogits } from "../model/finite.ts";
import type { LanguageModel } from "../model/model.ts";
import { nextTokens } from "./next_tokens.ts";
import { passOver, textIds, type TextOrIds, tokenId } from "../model/passes.ts";

/** The contribution of one part of the model to the logit.
 * @category Questions */
export interface Contribution {
  /** `embed`, `pos_embed`, `attn`, `attn bias`, `mlp` or `final_norm bias`. */
  readonly part: string;
  /** Index of the part's block, from 0; null if the part is outside the blocks. */
  readonly layer: number | null;
  /** Index of the head, from 0; null if the part is not a head. */
  readonly head: number | null;
  /** The part's contribution to the logit, or to the difference of two logits. */
  readonly value: number;
}

/** A logit, or a difference of two logits, and its contributions. */
export interface Attribution {
  /** The text of the token. */
  readonly token: string;
  /** The text of the token whose logit is subtracted; null if there is none. */
  readonly minus: string | null;
  /** The model's logit of the token, or the difference of the two logits. */
  readonly logit: number;
  /** The contributions of all parts, in the order of the forward pass. */
  readonly contributions: readonly Contribution[];
  /** `logit` minus the sum of all contributions, caused by rounding and by hooks that change the residual stream. */
  readonly unexplained: number;
}

/** Options of `attributeLogit`. */
export interface AttributionOptions {
  /** The text of the token whose logit is decomposed. Default: the most likely next token. */
  readonly token?: string;
  /** The text of a token whose logit is subtracted. Default: none. */
  readonly minus?: string;
}

/**
 * Returns the parameters from which contributions are computed: rows `ids` of the output head, the final norm, and each block's
 * wo and LayerScale.
 */
function neededParameters({ architecture, parameters }: LanguageModel, ids: readonly number[]) {
  const head = parameters[architecture.tied ? "embed.weight" : "unembed.weight"];
  const names = ["final_norm.weight", "final_norm.bias"];
  for (let n = 0; n < architecture.layers; n++) {
    if (blockOf(architecture, n).norm_order === "pre") {
      names.push(`blocks.${n}.attn.wo.weight`, `blocks.${n}.attn.wo.bias`, `blocks.${n}.ls1`);
    }
  }
  const needed: Record<string, Tensor> = {
    rows: embedding(head, literal(Uint32Array.from(ids), [ids.length], "u32")),
  };
  for (const name of names) if (parameters[name]) needed[name] = parameters[name];
  return needed;
}

function tapsOf({ architecture }: LanguageModel): string[] {
  const last = architecture.layers - 1;
  const blocks = blocksOf(architecture).flatMap(({ norm_order }, n) => [
    `blocks.${n}.${norm_order === "pre" ? "attn.z" : "attn_out"}`,
    `blocks.${n}.mlp_out`,
  ]);
  return ["embed", "pos_embed", ...blocks, `blocks.${last}.resid_post`, "final_norm"];
}

/**
 * Returns what a layer's attention adds to the residual stream at position t: for each head, its columns of wo times its output
 * z, [D]; and, separately, the bias of wo.
 */
function headParts(model: LanguageModel, read: Record<string, Values>, layer: number, t: number) {
  const { dim, heads } = model.architecture;
  const path = `blocks.${layer}`;
  const [z, wo] = [read[`${path}.attn.z`], read[`${path}.attn.wo.weight`]];
  const [scale, bias] = [read[`${path}.ls1`], read[`${path}.attn.wo.bias`]];
  const width = wo.length / dim;
  const d = width / heads;
  const parts = Array.from({ length: heads }, (_, head) =>
    Float64Array.from({ length: dim }, (_, row) => {
      let sum = 0;
      for (let e = head * d; e < (head + 1) * d; e++) sum += wo[row * width + e] * z[t * width + e];
      return sum * (scale?.[row] ?? 1);
    }));
  return { parts, bias: bias && Float64Array.from(bias, (b, row) => b * (scale?.[row] ?? 1)) };
}

/** Returns all parts whose sum is the residual stream at position t, in the order of the forward pass. */
function partsAt(model: LanguageModel, read: Record<string, Values>, t: number) {
  const { architecture: { dim, layers }, architecture } = model;
  const at = (name: string) => Float64Array.from(read[name].subarray(t * dim, (t + 1) * dim));
  const parts: (Omit<Contribution, "value"> & { x: Float64Array })[] = [];
  const outside = (part: string, x: Float64Array) => parts.push({ part, layer: null, head: null, x });
  outside("embed", at("embed"));
  if (read.pos_embed) outside("pos_embed", at("pos_embed"));
  for (let layer = 0; layer < layers; layer++) {
    if (blockOf(architecture, layer).norm_order === "pre") {
      const attention = headParts(model, read, layer, t);
      attention.parts.forEach((x, head) => parts.push({ part: "attn", layer, head, x }));
      if (attention.bias) parts.push({ part: "attn bias", layer, head: null, x: attention.bias });
    } else {
      parts.push({ part: "attn", layer, head: null, x: at(`blocks.${layer}.attn_out`) });
    }
    parts.push({ part: "mlp", layer, head: null, x: at(`blocks.${layer}.mlp_out`) });
  }
  return parts;
}

/**
 * Returns the final norm at one position as a linear map, which multiplies x (for LayerNorm, x minus its mean) by a factor per
 * dimension.
 */
function finalNorm(model: LanguageModel, read: Record<string, Values>, t: number) {
  const { dim, norm, layers } = model.architecture;
  const centred = (x: Float64Array) => {
    if (norm === "rmsnorm") return x;
    const mean = x.reduce((a, b) => a + b, 0) / dim;
    return x.map((value) => value - mean);
  };
  const at = (name: string) => Float64Array.from(read[name].subarray(t * dim, (t + 1) * dim));
  const [weight, bias] = [read["final_norm.weight"], read["final_norm.bias"]];
  const x = centred(at(`blocks.${layers - 1}.resid_post`)).map((value, d) => value * weight[d]);
  const y = at("final_norm").map((value, d) => value - (bias?.[d] ?? 0));
  // The reciprocal of the norm's divisor. It is fitted to the norm's output by least squares, so that the epsilon need not be
  // known.
  const factor = x.reduce((sum, value, d) => sum + value * y[d], 0) /
    x.reduce((sum, value) => sum + value ** 2, 0);
  return {
    through: (part: Float64Array) => centred(part).map((value, d) => value * weight[d] * factor),
    bias,
  };
}

/**
 * Direct logit attribution (Elhage et al. 2021): writes the logit of a token after a text, or the difference between two
 * tokens' logits, as a sum of the contributions of the embedding, each head and each MLP. The final norm's divisor is held
 * constant, so that the logit is linear in the parts. If a block normalises the output of its attention, this output is one
 * part; otherwise each of the block's heads is a part.
 *
 * @throws {UserError} if a block normalises the residual stream (post-norm), `token` or `minus` is not one token, or the text
 * is too long
 *
 * @example
 * ```ts
 * import { attributeLogit, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const { logit, contributions } = await attributeLogit(opened.device, opened.model, "The numbe", { token: "r" });
 * for (const { part, layer, head, value } of contributions) console.log(part, layer, head, value / logit);
 * ```
 * @category Questions
 */
export async function attributeLogit(
  device: Device,
  model: LanguageModel,
  text: TextOrIds,
  { token, minus }: AttributionOptions = {},
): Promise<Attribution> {
  const post = blocksOf(model.architecture).findIndex(({ norm_order }) => norm_order === "post");
  if (post >= 0) {
    throw new UserError(
      `Block ${post} normalises the residual stream (norm_order post), so a logit is not a sum over parts of the stream.`,
    );
  }
  const ids = textIds(model, text);
  const id = token === undefined
    ? (await nextTokens(device, model, text, 1))[0].id
    : tokenId(model, token, "token");
  const compared = [id, ...(minus === undefined ? [] : [tokenId(model, minus, "minus")])];
  const names = tapsOf(model);
  const read = await passOver(device, model, ids, (logits, taps) => {
    return { ...taps.selected(), logits, ...neededParameters(model, compared) };
  }, (name) => names.includes(name));
  const t = ids.length - 1;
  const { dim, vocabulary } = model.architecture;
  checkLogits(read.logits.subarray(t * vocabulary, (t + 1) * vocabulary));
  // The token's row of the unembedding; for a difference of logits, the difference of two rows.
  const rows = Float64Array.from({ length: dim }, (_, d) => {
    return read.rows[d] - (minus === undefined ? 0 : read.rows[dim + d]);
  });
  const { through, bias } = finalNorm(model, read, t);
  const along = (x: ArrayLike<number>) => rows.reduce((sum, w, d) => sum + w * x[d], 0);
  const contributions: Contribution[] = partsAt(model, read, t).map(({ x, ...part }) => {
    return { ...part, value: along(through(x)) };
  });
  if (bias) contributions.push({ part: "final_norm bias", layer: null, head: null, value: along(bias) });
  const logitOf = (n: number) => read.logits[t * vocabulary + compared[n]];
  const logit = logitOf(0) - (minus === undefined ? 0 : logitOf(1));
  const sum = contributions.reduce((total, { value }) => total + value, 0);
  const [tokenText, minusText = null] = compared.map((id) => textBehind(model.tokenizer, ids[t], [id]));
  return { token: tokenText, minus: minusText, logit, contributions, unexplained: logit - sum };
}
