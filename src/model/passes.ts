// What every question to a model begins with: the ids of a text that fits, and one pass whose tensors are read.
import type { Workload } from "../device/estimate.ts";
import { flat, parameterViews } from "./layout.ts";
import { textBehind } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { input } from "../graph/structure.ts";
import type { Tensor, Values } from "../graph/tensor.ts";
import { decoder } from "../nn/decoder.ts";
import { reportProgress } from "../base/progress.ts";
import type { LanguageModel, Model } from "./model.ts";
import { type ActivationCache, activationCache } from "./taps.ts";

/** A text, or its ids: what every question to a model takes.
 * @category Models */
export type TextOrIds = string | ArrayLike<number>;

/** Ids that are given: each is one of the model's that has a text. */
function checkedIds({ tokenizer, architecture: { vocabulary } }: LanguageModel, ids: ArrayLike<number>) {
  const count = Math.min(vocabulary, tokenizer.size);
  for (let n = 0; n < ids.length; n++) {
    if (Number.isInteger(ids[n]) && ids[n] >= 0 && ids[n] < count) continue;
    throw new UserError(`Id ${n}: found ${ids[n]}, expected 0 to ${count - 1}.`);
  }
  if (ids.length === 0) throw new UserError("There are no ids, expected one at least.");
  return Uint32Array.from(ids);
}

/**
 * The ids of a text of any length. Those of the empty text are the token that texts start with, where the tokenizer has one
 * (`Tokenizer.first`).
 *
 * @throws {UserError} where there are no ids, the text cannot be encoded, or an id is not one of the model's
 * @category Models
 */
export function promptIds(model: LanguageModel, given: TextOrIds): Uint32Array {
  if (typeof given !== "string") return checkedIds(model, given);
  const { tokenizer } = model;
  const ids = tokenizer.encode(given);
  if (ids.length > 0) return ids;
  if (given === "" && tokenizer.first !== undefined) return checkedIds(model, [tokenizer.first]);
  throw new UserError(
    `The text is empty and a tokenizer of kind ${tokenizer.kind} has no token to start it with, expected at least one ` +
      "character, or a first token (--first).",
  );
}

/** The ids of a text (see `promptIds`); throws UserError where they are more than the model's context. */
export function textIds(model: LanguageModel, given: TextOrIds): Uint32Array {
  const ids = promptIds(model, given);
  const { context } = model.architecture;
  if (ids.length > context) {
    throw new UserError(
      `The text has ${ids.length} tokens, expected at most the model's context of ${context}.`,
    );
  }
  return ids;
}

/** The ids of a text, each as the text that it stands for behind the one before it. */
export function tokenTexts({ tokenizer }: LanguageModel, ids: ArrayLike<number>): string[] {
  return Array.from(ids, (id, i) => textBehind(tokenizer, i === 0 ? undefined : ids[i - 1], [id]));
}

/**
 * The one id that a text stands for, a word with its space too where the tokenizer marks spaces; throws UserError, with `what`
 * as its place, where it is not one.
 */
export function tokenId({ tokenizer }: LanguageModel, text: string, what: string): number {
  const ids = tokenizer.encode(text);
  if (ids.length === 1) return ids[0];
  const word = text.startsWith(" ") ? tokenizer.encode(text.slice(1)) : [];
  if (word.length === 1 && textBehind(tokenizer, word[0], word) === text) return word[0];
  throw new UserError(`${what}: expected one token, found ${ids.length} in ${JSON.stringify(text)}.`);
}

/** Positions that a pass over `longest` ids takes: as many, or the whole context where hooks may rely on it. */
export function passLength({ context, hooks }: LanguageModel["architecture"], longest: number): number {
  return hooks ? context : Math.max(1, Math.min(context, longest));
}

/** Positions whose logits a pass may have on a device: one at least, as many as a kernel is given in `most` bytes. */
export function positionsFitting({ target }: Device, vocabulary: number, most = Infinity): number {
  const bytes = Math.min(most, target?.maxBindingBytes ?? Infinity);
  return Math.max(1, Math.floor(bytes / (4 * vocabulary)));
}

/** Rows of ids, right-padded with 0 to `length`, and empty ones up to `count`. */
export function padded(rows: readonly ArrayLike<number>[], length: number, count = rows.length): Uint32Array {
  const ids = new Uint32Array(count * length);
  rows.forEach((row, n) => ids.set(row, n * length));
  return ids;
}

/** A pass over one text: the tensors that `choose` names, read by name. */
export async function passOver(
  device: Device,
  { architecture, parameters }: LanguageModel,
  ids: Uint32Array,
  choose: (logits: Tensor, taps: ActivationCache, ids: Tensor) => Record<string, Tensor>,
  wants?: (name: string) => boolean,
): Promise<Record<string, Values>> {
  const length = passLength(architecture, ids.length);
  const tokens = input("ids", [1, length], "u32");
  const taps = activationCache(wants);
  const logits = decoder(architecture, parameters, tokens, { taps });
  const outputs = choose(logits, taps, tokens);
  using program = await device.compile({ outputs });
  reportProgress({ what: "reading the text with the model" });
  program.run({ ids: padded([ids], length) });
  const names = Object.keys(outputs);
  const values = await program.read(names);
  return Object.fromEntries(names.map((name, n) => [name, values[n]]));
}

/** Forward passes that a question asks of a model. */
export interface Passes {
  /** How many. */
  readonly passes: number;
  /** Positions of each. Default: the model's context. */
  readonly positions?: number;
}

/** What forward passes compute. Where a step of training is asked for, it is about three of them.
 * @category Training */
export function forwardWork({ architecture, layout }: Model, { passes, positions }: Passes): Workload[] {
  const { context } = architecture;
  const length = Math.max(1, Math.min(context, positions ?? context));
  const rows = Math.ceil((positions ?? context) / length) || 1;
  const ids = input("ids", [rows, length], "u32");
  const logits = decoder(architecture, parameterViews(layout, flat(layout)), ids);
  return [{ graph: { outputs: { logits } }, runs: passes, reads: passes }];
}
