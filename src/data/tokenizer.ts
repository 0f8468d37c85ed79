// Tokenizers. A tokenizer can be written to JSON, so that a checkpoint contains it and generation uses the
// vocabulary that the model was trained with.
import { didYouMean, UserError } from "../base/errors.ts";

/** How an unknown character can be handled: by an error, or as the token `<unk>`. */
export const UNKNOWN_POLICIES = ["error", "token"] as const;

/** How an unknown character is handled: "error" throws UserError, "token" gives the id of `<unk>`. */
export type UnknownPolicy = typeof UNKNOWN_POLICIES[number];

/** Kinds of tokenizers that a configuration can name. */
export const TOKENIZER_KINDS = ["char", "byte", "bpe", "gpt2", "huggingface", "ids"] as const;

/** Kinds of tokenizers: "cropped" is a tokenizer of another kind restricted to some of its ids. */
export type TokenizerKind = typeof TOKENIZER_KINDS[number] | "cropped";

/** The JSON form of a tokenizer, as in a checkpoint's tokenizer.json. */
export type TokenizerFile =
  /**
   * `vocabulary[id]` is the character of an id. The characters are in ascending order of code point, and `<unk>` is not among
   * them.
   */
  | { kind: "char"; vocabulary: string[]; unknown: UnknownPolicy }
  /** The ids are the values of UTF-8 bytes. */
  | { kind: "byte" }
  /** The ids are the 256 bytes, then one id per merge. A merge is written as the two ids "left right". */
  | { kind: "bpe"; merges: string[] }
  /** GPT-2's 50,257 tokens. */
  | { kind: "gpt2" }
  /** A complete tokenizer.json of Hugging Face. */
  | { kind: "huggingface"; tokenizer: object }
  /** The text consists of ids, written in decimal. */
  | { kind: "ids"; size: number }
  /**
   * The ascending ids `ids` of the tokenizer `of` become 0, 1, 2, ... If `unknown` is "token", one more id represents all other
   * ids.
   */
  | { kind: "cropped"; of: TokenizerFile; ids: number[]; unknown: UnknownPolicy };

/** Encodes texts to ids and decodes them; `decode(encode(x)) = x` for every text of known characters.
 * @category Data */
export interface Tokenizer {
  /** The kind of this tokenizer. */
  readonly kind: TokenizerKind;
  /** Number of ids; ids are 0 to size - 1. */
  readonly size: number;
  /** Returns true if an id has a token. Only vocabularies with gaps have this function; without it, every id has a token. */
  hasToken?(id: number): boolean;
  /** The id with which texts start in the model's training, if there is such an id. It is used in place of an empty prompt. */
  readonly first?: number;
  /**
   * Returns the ids of a text. Throws UserError at unknown characters or tokens, unless they become `<unk>`; all kinds except
   * "char" throw at a lone surrogate, which UTF-8 cannot represent. For a text that is encoded in parts, `before` is the number
   * of ids of the earlier parts (default: 0). Positions in errors are counted from the start of the complete text, and a prefix
   * that the tokenizer adds at the start of a text is added only if `before` is 0.
   */
  encode(text: string, before?: number): Uint32Array;
  /**
   * Returns the last index at which a text can be cut without changing its ids, or 0 if there is no such index. For every text
   * `more`, `encode(text + more)` is `encode(text.slice(0, at))` followed by the ids of the rest, where `at` is the index. A
   * tokenizer without this function encodes each text as one string.
   */
  cut?(text: string): number;
  /** Returns the text of ids, in which invalid UTF-8 becomes U+FFFD. Throws RangeError at an id outside 0 to size - 1. */
  decode(ids: ArrayLike<number>): string;
  /** Returns the form that JSON.stringify writes and `tokenizerFromJSON` reads. */
  toJSON(): TokenizerFile;
}

/**
 * Returns the text of ids that follow another id. It may differ from `decode(ids)`, because some decoders (SentencePiece's,
 * BERT's) write the space before a word only inside a text.
 *
 * @param before the preceding id; undefined if the ids begin a text
 * @returns the text that `ids` add to the decoded text of `before`, or `decode(ids)` if they change that text itself, as when the
 * bytes of a character span `before` and `ids`
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
  // In a text of ids in decimal, the space between two ids belongs to neither of them.
  if (before === undefined || tokenizer.kind === "ids") return tokenizer.decode(ids);
  const first = tokenizer.decode([before]);
  const both = tokenizer.decode([before, ...Array.from(ids)]);
  return both.startsWith(first) ? both.slice(first.length) : tokenizer.decode(ids);
}

/** The text that the id of an unknown character decodes to. */
export const UNKNOWN = "<unk>";

/** @internal Returns the policy in a tokenizer's file; throws UserError if the policy is invalid. */
export function checkedPolicy(value: unknown): UnknownPolicy {
  if (UNKNOWN_POLICIES.includes(value as UnknownPolicy)) return value as UnknownPolicy;
  throw new UserError(
    `Tokenizer file: unknown is ${JSON.stringify(value)}; expected "error" or "token".` +
      didYouMean(String(value), UNKNOWN_POLICIES),
  );
}

/** @internal Throws RangeError unless every id is an integer from 0 to size - 1. */
export function checkIds(ids: ArrayLike<number>, size: number): void {
  for (let i = 0; i < ids.length; i++) {
    if (!(Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < size)) {
      throw new RangeError(`Id ${ids[i]} at position ${i} is out of range; expected 0 to ${size - 1}`);
    }
  }
}
