// Ablation of attention heads: measures how the loss changes if the output z of one head is replaced, for example by zeros.
import { crossEntropy, IGNORE } from "../../kernels/cross_entropy/op.ts";
import { elementwise } from "../../kernels/elementwise/op.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { plus, times, variable } from "../../kernels/expression/expression.ts";
import { randomStream, shuffle } from "../base/random.ts";
import type { Batch } from "../data/mod.ts";
import type { Device, Program } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { input, reshape } from "../graph/structure.ts";
import type { Tensor, Values } from "../graph/tensor.ts";
import { decoder, type Taps } from "../nn/decoder.ts";
import { checkLosses } from "../model/finite.ts";
import { reportProgress } from "../base/progress.ts";
import type { LanguageModel } from "../model/model.ts";
import { padded } from "../model/passes.ts";

/** What replaces a head's output z: zeros, the mean of z, or the z of another sample. */
export type AblationMethod = "zero" | "mean" | "resample";

/** All methods.
 * @category Questions */
export const ABLATION_METHODS: readonly AblationMethod[] = ["zero", "mean", "resample"];

/** The result of `ablateHeads`: the effect of each head on the loss.
 * @category Questions */
export interface Ablation {
  /** Mean loss of the intact model in nats per token. */
  readonly loss: number;
  /** Number of target tokens that the losses are averaged over. */
  readonly tokens: number;
  /** Loss with a head ablated minus loss of the intact model, in nats per token, [layer][head]. */
  readonly changes: readonly Float64Array[];
}

/** Splits texts into consecutive windows of the context length and groups them into batches of `rows` windows. Every token
 * except the first of each text is a target.
 * @category Questions */
export function textBatches(
  { architecture: { context } }: LanguageModel,
  texts: readonly ArrayLike<number>[],
  rows: number,
): Batch[] {
  const windows = texts.flatMap((text) => {
    const ids = Uint32Array.from(text);
    const count = Math.ceil((ids.length - 1) / context);
    return Array.from({ length: count }, (_, n) => ids.subarray(n * context, (n + 1) * context + 1));
  });
  const batches: Batch[] = [];
  for (let at = 0; at < windows.length; at += rows) {
    const group = windows.slice(at, at + rows);
    const targets = new Uint32Array(rows * context).fill(IGNORE);
    group.forEach((window, row) => targets.set(window.subarray(1), row * context));
    batches.push({ ids: padded(group.map((window) => window.subarray(0, -1)), context, rows), targets });
  }
  return batches;
}

/** Returns the number of positions of each row up to and including its last target; later positions are padding. */
function lengthsOf({ targets }: Batch, rows: number): number[] {
  const length = targets.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    return targets.subarray(row * length, (row + 1) * length).findLastIndex((id) => id !== IGNORE) + 1;
  });
}

/**
 * Returns the graph of the model with additional inputs that say, for each layer, which heads' outputs z are replaced and by
 * what.
 */
function ablatedGraph({ architecture, parameters }: LanguageModel, rows: number, method: AblationMethod) {
  const { context, vocabulary } = architecture;
  const values: Record<string, Tensor> = {};
  const change = (name: string, z: Tensor): Tensor => {
    const [B, T, H, d] = z.shape;
    values[name] = z;
    if (method === "resample") {
      const from = input(`from ${name}`, [B * T * H], "u32");
      return reshape(embedding(reshape(z, [B * T * H, d]), from), z.shape);
    }
    const operands = {
      x: reshape(z, [B * T, H * d]),
      keep: input(`keep ${name}`, [H * d]),
      fill: input(`fill ${name}`, [H * d]),
    };
    const mixed = plus(times(variable("x"), variable("keep")), variable("fill"));
    return reshape(elementwise(mixed, operands, "ablate"), z.shape);
  };
  const taps: Taps = { wants: () => false, tap: (name, x) => name.endsWith(".attn.z") ? change(name, x) : x };
  const logits = decoder(architecture, parameters, input("ids", [rows, context], "u32"), { taps });
  const targets = input("targets", [rows * context], "u32");
  const { loss, valid } = crossEntropy(reshape(logits, [rows * context, vocabulary]), targets);
  return { outputs: { loss, valid, ...values }, values };
}

/**
 * Returns, for each position of each row, the index (over all rows) of the position whose values replace it if the method is
 * "resample" (see `ablateHeads`).
 */
function donorsOf(lengths: readonly number[], length: number, seed: number, number: number): Uint32Array {
  const full = lengths.map((n, row) => n > 0 ? row : -1).filter((row) => row >= 0);
  if (full.length < 2) throw new UserError("Resample ablation needs two samples in a batch, found one.");
  shuffle(randomStream(seed, `resample ${number}`), full);
  const next = new Map(full.map((row, n) => [row, full[(n + 1) % full.length]]));
  return Uint32Array.from({ length: lengths.length * length }, (_, at) => {
    const [row, t] = [Math.floor(at / length), at % length];
    const donor = next.get(row) ?? row;
    return donor * length + Math.min(t, Math.max(0, lengths[donor] - 1));
  });
}

interface Head {
  readonly name: string;
  readonly head: number;
}

interface Study {
  readonly program: Program;
  readonly batches: readonly Batch[];
  /** Lengths of the rows of each batch, without padding. */
  readonly lengths: readonly (readonly number[])[];
  /** The heads' outputs z, [B, T, H, d], keyed by tap. */
  readonly values: Readonly<Record<string, Tensor>>;
  /** For each batch, the result of `donorsOf`; undefined unless the method is "resample". */
  readonly donors?: readonly Uint32Array[];
  /** Means of z over positions, [H d], keyed by tap; empty unless the method is "mean". */
  means: Readonly<Record<string, Float64Array>>;
  /** Number of forward passes that are completed; `total` is the number of forward passes that are planned. */
  done: number;
  readonly total: number;
}

/** Returns the inputs that ablate one head in batch n, or no head if `ablated` is undefined. */
function feedsOf({ values, donors, means }: Study, n: number, ablated?: Head): Record<string, Values> {
  const feeds: Record<string, Values> = {};
  for (const [name, { shape: [B, T, H, d] }] of Object.entries(values)) {
    const isAblated = (head: number) => ablated?.name === name && ablated.head === head;
    if (donors) {
      feeds[`from ${name}`] = Uint32Array.from({ length: B * T * H }, (_, at) => {
        const [position, head] = [Math.floor(at / H), at % H];
        return (isAblated(head) ? donors[n][position] : position) * H + head;
      });
      continue;
    }
    const of = (value: (e: number, ablated: boolean) => number) =>
      Float64Array.from({ length: H * d }, (_, e) => value(e, isAblated(Math.floor(e / d))));
    feeds[`keep ${name}`] = of((_, ablated) => ablated ? 0 : 1);
    feeds[`fill ${name}`] = of((e, ablated) => ablated ? means[name]?.[e] ?? 0 : 0);
  }
  return feeds;
}

/**
 * Returns the mean loss over all target tokens of all batches, with one head ablated, or with no head ablated if `ablated` is
 * undefined.
 */
async function meanLoss(study: Study, ablated?: Head): Promise<{ loss: number; tokens: number }> {
  let [sum, tokens] = [0, 0];
  for (const [n, { ids, targets }] of study.batches.entries()) {
    reportProgress({ what: "ablating heads", done: study.done++, total: study.total });
    study.program.run({ ...feedsOf(study, n, ablated), ids, targets });
    const [[loss], [valid]] = await study.program.read(["loss", "valid"]);
    checkLosses([loss]);
    sum += loss * valid;
    tokens += valid;
  }
  return { loss: sum / tokens, tokens };
}

/** Returns the means of z over all positions except padding, keyed by tap. */
async function meanValues(study: Study): Promise<Record<string, Float64Array>> {
  const { program, batches, lengths, values } = study;
  const names = Object.keys(values);
  const means = names.map((name) => new Float64Array(values[name].shape[2] * values[name].shape[3]));
  let positions = 0;
  for (const [n, { ids, targets }] of batches.entries()) {
    reportProgress({ what: "averaging values of heads", done: n, total: batches.length });
    program.run({ ...feedsOf(study, n), ids, targets });
    const read = await program.read(names);
    const length = targets.length / lengths[n].length;
    lengths[n].forEach((rowLength, row) => {
      positions += rowLength;
      read.forEach((z, k) => {
        const width = means[k].length;
        const first = row * length * width;
        for (let e = 0; e < rowLength * width; e++) means[k][e % width] += z[first + e];
      });
    });
  }
  return Object.fromEntries(names.map((name, k) => [name, means[k].map((sum) => sum / positions)]));
}

/**
 * Measures the effect of each attention head on the loss: the loss with the head's output z replaced, minus the loss of the
 * intact model. The method "zero" replaces z by zeros, and "mean" replaces it by its mean over all positions of all samples.
 * "resample" replaces it by the z of another sample in the batch, chosen at random from `seed`, at the same position (or at the
 * last position of that sample, if it is shorter).
 *
 * @param batches batches of a source or of `textBatches`, each with `rows` rows of the model's context length
 * @param options `seed`: seed for resampling
 * @throws {UserError} if there are no batches, or if the method is "resample" and a batch has fewer than two samples
 *
 * @example
 * ```ts
 * import { ablateHeads, openModel, textBatches } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 9 });
 * const { device, model } = opened;
 * const batches = textBatches(model, [model.tokenizer.encode("The number 3 follows 2, and 21 is its own.")], 3);
 * const { loss, changes } = await ablateHeads(device, model, batches, 3, "mean");
 * console.log(loss, changes[0]); // effect of each head of the first block, in nats per token
 * ```
 * @category Questions
 */
export async function ablateHeads(
  device: Device,
  model: LanguageModel,
  batches: readonly Batch[],
  rows: number,
  method: AblationMethod,
  { seed = 1 }: { seed?: number } = {},
): Promise<Ablation> {
  if (batches.length === 0) throw new UserError("Ablation needs a text of at least two tokens.");
  const { context, heads } = model.architecture;
  const { outputs, values } = ablatedGraph(model, rows, method);
  const lengths = batches.map((batch) => lengthsOf(batch, rows));
  const donors = method === "resample" ? lengths.map((l, n) => donorsOf(l, context, seed, n)) : undefined;
  using program = await device.compile({ outputs });
  const names = Object.keys(values);
  const total = (names.length * heads + 1) * batches.length;
  const study: Study = { program, batches, lengths, values, donors, means: {}, done: 0, total };
  if (method === "mean") study.means = await meanValues(study);
  const { loss, tokens } = await meanLoss(study);
  const changes = names.map(() => new Float64Array(heads));
  for (const [layer, name] of names.entries()) {
    for (let head = 0; head < heads; head++) {
      changes[layer][head] = (await meanLoss(study, { name, head })).loss - loss;
    }
  }
  return { loss, tokens, changes };
}
