// Between text and token ids. A tokenizer is a record of two functions and its file form, so that a checkpoint can carry
// it and generation reads back the very vocabulary a model was trained with.
import { didYouMean, UserError } from "../base/errors.ts";

/** What may become of an unknown character: the token `<unk>`, or nothing, it is an error. */
export const UNKNOWN_POLICIES = ["error", "token"] as const;

/** What an unknown character becomes: a UserError, or the id of `<unk>`. */
export type UnknownPolicy = typeof UNKNOWN_POLICIES[number];

/** Kinds of tokenizers that a configuration may ask for. */
export const TOKENIZER_KINDS = ["char", "byte", "bpe", "gpt2", "huggingface", "ids"] as const;

/** Kinds of tokenizers: "cropped" is any other, of whose ids only some are kept. */
export type TokenizerKind = typeof TOKENIZER_KINDS[number] | "cropped";

/** A tokenizer as a checkpoint's tokenizer.json keeps it: all that is needed to make it again. */
export type TokenizerFile =
  /** `vocabulary[id]` is the character of `id`, ascending by code point; `<unk>` is not among them. */
  | { kind: "char"; vocabulary: string[]; unknown: UnknownPolicy }
  /** The 256 bytes of UTF-8, each its own id. */
  | { kind: "byte" }
  /** The bytes, then what each merge makes: "left right", by id. */
  | { kind: "bpe"; merges: string[] }
  /** GPT-2's 50,257 tokens. */
  | { kind: "gpt2" }
  /** A tokenizer.json of Hugging Face's, whole. */
  | { kind: "huggingface"; tokenizer: object }
  /** The text is ids, written in decimal. */
  | { kind: "ids"; size: number }
  /** Of the tokenizer `of` the ids `ids`, ascending, as 0, 1, 2, ...; with "token" one more for all others. */
  | { kind: "cropped"; of: TokenizerFile; ids: number[]; unknown: UnknownPolicy };

/** Text to ids and back; `decode(encode(x)) = x` for every text of known characters.
 * @category Data */
export interface Tokenizer {
  /** Which tokenizer this is. */
  readonly kind: TokenizerKind;
  /** Number of ids; ids are 0 to size - 1. */
  readonly size: number;
  /** Whether an id has a token, where some of them have none; by default all have. */
  hasToken?(id: number): boolean;
  /** The id that texts start with in the model's training, where the tokenizer has one: what stands for the empty text. */
  readonly first?: number;
  /**
   * The ids of a text; throws UserError at what it does not know, unless `<unk>` stands for it, and all but "char" at a
   * lone surrogate, which has no UTF-8. Of a text that is encoded in parts, `before` is the number of ids of the parts
   * before this one (default: 0): positions in errors count from there, and what is added at the start of a text is
   * added where it is 0 alone.
   */
  encode(text: string, before?: number): Uint32Array;
  /**
   * Where a text may be cut without changing its ids: the last index `at` known to split `encode(text + more)`, for every
   * `more`, into `encode(text.slice(0, at))` and the ids of the rest; 0 where there is none. A tokenizer without this
   * function encodes a text as one string, however long.
   */
  cut?(text: string): number;
  /** The text of ids; bytes that are no UTF-8 become U+FFFD. Throws RangeError at an id outside 0 to size - 1. */
  decode(ids: ArrayLike<number>): string;
  /** The form that JSON.stringify writes and `tokenizerFromJSON` reads. */
  toJSON(): TokenizerFile;
}

/**
 * The text that ids stand for behind another id: some decoders (SentencePiece's, BERT's) write the space before a word only
 * within a text, so that `decode(ids)` alone loses it.
 *
 * @param before the id before them; undefined where they begin a text
 * @returns what `decode` writes behind the text of `before`; `decode(ids)` where that changes with what follows, as of a
 * character whose bytes are spread over both
 *
 * @example
 * ```ts
 * import { gpt2Tokenizer, textBehind } from "../../mod.ts";
 * const tokenizer = gpt2Tokenizer();
 * const [hello, world] = tokenizer.encode("Hello world");
 * textBehind(tokenizer, hello, [world]); // " world"
 * ```
 * @category Data
 */
export function textBehind(tokenizer: Tokenizer, before: number | undefined, ids: ArrayLike<number>): string {
  // The space between two ids in decimal belongs to neither.
  if (before === undefined || tokenizer.kind === "ids") return tokenizer.decode(ids);
  const first = tokenizer.decode([before]);
  const both = tokenizer.decode([before, ...Array.from(ids)]);
  return both.startsWith(first) ? both.slice(first.length) : tokenizer.decode(ids);
}

/** What the id of an unknown character decodes to. */
export const UNKNOWN = "<unk>";

/** @internal The policy that a tokenizer's file has; throws UserError where it is none. */
export function checkedPolicy(found: unknown): UnknownPolicy {
  if (UNKNOWN_POLICIES.includes(found as UnknownPolicy)) return found as UnknownPolicy;
  throw new UserError(
    `Tokenizer file: unknown is ${JSON.stringify(found)}; expected "error" or "token".` +
      didYouMean(String(found), UNKNOWN_POLICIES),
  );
}

/** @internal Throws RangeError unless every id is one of `size`. */
export function checkIds(ids: ArrayLike<number>, size: number): void {
  for (let i = 0; i < ids.length; i++) {
    if (!(Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < size)) {
      throw new RangeError(`Id ${ids[i]} at position ${i} is not among 0 to ${size - 1}`);
    }
  }
}
