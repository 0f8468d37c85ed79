// Functions shared by all analyses of a model: the token ids of a text, and a forward pass whose tensors are read.
import type { Workload } from "../device/probe.ts";
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

/** A text or its token ids.
 * @category Models */
export type TextOrIds = string | ArrayLike<number>;

/**
 * Copies ids; throws UserError if there are no ids, or if the vocabulary of the model or that of its tokenizer lacks one of
 * them.
 */
function checkedIds({ tokenizer, architecture: { vocabulary } }: LanguageModel, ids: ArrayLike<number>) {
  const count = Math.min(vocabulary, tokenizer.size);
  for (let n = 0; n < ids.length; n++) {
    if (Number.isInteger(ids[n]) && ids[n] >= 0 && ids[n] < count) continue;
    throw new UserError(`Id ${n}: found ${ids[n]}, expected 0 to ${count - 1}.`);
  }
  if (ids.length === 0) throw new UserError("There are no ids, expected at least one.");
  return Uint32Array.from(ids);
}

/**
 * Returns the ids of a text of any length. The empty text becomes the tokenizer's first token (`Tokenizer.first`), if it has
 * one.
 *
 * @throws {UserError} if there are no ids, the text cannot be encoded, or an id is outside the vocabulary
 * @category Models
 */
export function promptIds(model: LanguageModel, text: TextOrIds): Uint32Array {
  if (typeof text !== "string") return checkedIds(model, text);
  const { tokenizer } = model;
  const ids = tokenizer.encode(text);
  if (ids.length > 0) return ids;
  if (text === "" && tokenizer.first !== undefined) return checkedIds(model, [tokenizer.first]);
  throw new UserError(
    `The text is empty and a tokenizer of kind ${tokenizer.kind} has no token to start it with, expected at least one ` +
      "character, or a first token (--first).",
  );
}

/** Returns the ids of a text (see `promptIds`); throws UserError if there are more ids than the model's context has positions. */
export function textIds(model: LanguageModel, text: TextOrIds): Uint32Array {
  const ids = promptIds(model, text);
  const { context } = model.architecture;
  if (ids.length > context) {
    throw new UserError(
      `The text has ${ids.length} tokens, expected at most the model's context of ${context}.`,
    );
  }
  return ids;
}

/** Returns the text of each id, decoded as the continuation of the id before it. */
export function tokenTexts({ tokenizer }: LanguageModel, ids: ArrayLike<number>): string[] {
  return Array.from(ids, (id, i) => textBehind(tokenizer, i === 0 ? undefined : ids[i - 1], [id]));
}

/**
 * Returns the id of a text that is a single token; if the tokenizer marks spaces, the text may also be a space and a word.
 * Throws UserError if the text is not a single token; `what` is the option that specifies the text, for the message.
 */
export function tokenId({ tokenizer }: LanguageModel, text: string, what: string): number {
  const ids = tokenizer.encode(text);
  if (ids.length === 1) return ids[0];
  const word = text.startsWith(" ") ? tokenizer.encode(text.slice(1)) : [];
  if (word.length === 1 && textBehind(tokenizer, word[0], word) === text) return word[0];
  throw new UserError(`${what}: expected one token, found ${ids.length} in ${JSON.stringify(text)}.`);
}

/**
 * Returns the number of positions of a pass over at most `longest` ids. With hooks it is the full context, because hooks may
 * rely on this length.
 */
export function passLength({ context, hooks }: LanguageModel["architecture"], longest: number): number {
  return hooks ? context : Math.max(1, Math.min(context, longest));
}

/**
 * Returns the number of positions, at least one, whose float32 logits fit into `limit` bytes and into one buffer binding of
 * the device.
 */
export function positionsFitting({ target }: Device, vocabulary: number, limit = Infinity): number {
  const bytes = Math.min(limit, target?.maxBindingBytes ?? Infinity);
  return Math.max(1, Math.floor(bytes / (4 * vocabulary)));
}

/** Returns rows of ids, each right-padded with 0 to `length`, followed by rows of zeros so that there are `count` rows. */
export function padded(rows: readonly ArrayLike<number>[], length: number, count = rows.length): Uint32Array {
  const ids = new Uint32Array(count * length);
  rows.forEach((row, n) => ids.set(row, n * length));
  return ids;
}

/** Runs a forward pass over one text, and returns the values of the tensors that `choose` returns, keyed by name. */
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

/** The forward passes that an analysis runs. */
export interface Passes {
  /** Number of passes. */
  readonly passes: number;
  /** Positions per pass. Default: the model's context. */
  readonly positions?: number;
}

/** Returns the workload of forward passes. A training step costs about as much as three forward passes.
 * @category Training */
export function forwardWork({ architecture, layout }: Model, { passes, positions }: Passes): Workload[] {
  const { context } = architecture;
  const length = Math.max(1, Math.min(context, positions ?? context));
  const rows = Math.ceil((positions ?? context) / length) || 1;
  const ids = input("ids", [rows, length], "u32");
  const logits = decoder(architecture, parameterViews(layout, flat(layout)), ids);
  return [{ graph: { outputs: { logits } }, runs: passes, reads: passes }];
}
