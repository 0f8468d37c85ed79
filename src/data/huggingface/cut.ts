// Determines where a text may be cut that a tokenizer.json encodes in parts. A cut is before a space between two letters or
// digits. It is allowed only if the components of the file guarantee that no piece, merge or added token crosses the cut, and
// that nothing is added or removed beside it.

import { cutPieces } from "../byte_bpe.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { separatesSpaces } from "./bpe.ts";
import { isObject, type Json } from "./fields.ts";

function partsOf(component: unknown): Json[] {
  if (!isObject(component)) return [];
  const { type, normalizers, pretokenizers } = component;
  if (type !== "Sequence") return [component];
  const splitsSpace = normalizers ?? pretokenizers;
  return Array.isArray(splitsSpace) ? splitsSpace.flatMap(partsOf) : [component];
}

const patternOf = ({ pattern }: Json): string | undefined =>
  isObject(pattern) && typeof pattern.String === "string" ? pattern.String : undefined;

/** Normalizers that change each character, or a character and its combining marks, independently. */
const LOCAL = "NFC NFD NFKC NFKD Lowercase StripAccents BertNormalizer Nmt Precompiled".split(" ");

/**
 * Returns the text by which the normalizers replace a space, and whether they prepend this text to every text. Returns undefined
 * if the result of a normalizer may depend on text beyond a cut.
 */
function spacesOf(normalizer: unknown): { space: string; prepends: boolean } | undefined {
  let space = " ";
  let prepended: string | undefined;
  for (const part of partsOf(normalizer)) {
    if (part.type === "Prepend" && prepended === undefined && space === " ") prepended = String(part.prepend);
    else if (part.type === "Replace") {
      const pattern = patternOf(part);
      if (pattern === " " && space === " ") space = String(part.content);
      // A pattern with a space after its first character could match across a cut.
      else if (pattern === undefined || pattern.slice(1).includes(space)) return undefined;
    } else if (!LOCAL.includes(String(part.type))) return undefined;
  }
  if (prepended !== undefined && prepended !== space) return undefined;
  return { space, prepends: prepended !== undefined };
}

const CONTRACTIONS = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"];
const REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/**
 * The `Split` patterns of GPT-2, and of GPT-4, Llama 3 and Qwen. The latter split numbers into pieces of at most one, two or
 * three digits.
 */
const KNOWN_SPLITS = [
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  ...CONTRACTIONS.flatMap((contraction) =>
    ["\\p{N}", "\\p{N}{1,2}", "\\p{N}{1,3}"].map((number) =>
      `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}${REST}`
    )
  ),
];

/**
 * True if a pre-tokenizer splits between a letter or digit and a space after it, whatever the other characters of the text are.
 */
function parts(component: Json): boolean {
  const { type, use_regex, split, pattern, behavior, invert, delimiter } = component;
  if (type === "ByteLevel") return use_regex !== false;
  if (type === "Metaspace") return split !== false;
  if (type === "CharDelimiterSplit") return delimiter === " ";
  if (type !== "Split" || invert === true) {
    return ["Whitespace", "WhitespaceSplit", "BertPreTokenizer"].includes(String(type));
  }
  if (patternOf(component) === " ") {
    return ["Removed", "Isolated", "MergedWithNext"].includes(String(behavior));
  }
  return isObject(pattern) && KNOWN_SPLITS.includes(String(pattern.Regex)) && behavior === "Isolated";
}

/** True if the pre-tokenizers split between a letter or digit and a space after it in any context. */
function splitsBetween(preTokenizer: unknown, space: string): boolean {
  const all = partsOf(preTokenizer);
  const first = all.findIndex(parts);
  if (first < 0 || !all.slice(0, first).every(({ type }) => type === "Punctuation" || type === "Digits")) {
    return false;
  }
  // A Metaspace that follows another pre-tokenizer may mark the start of a text, and then it would mark the part after a cut too.
  // A Metaspace that splits first does no harm, because it turns the space after the cut into the same mark.
  const marksStart = all.slice(first + 1).some(({ type, prepend_scheme }) =>
    type === "Metaspace" && prepend_scheme === "first"
  );
  return !marksStart &&
    (space === " " || all[first].type === "Metaspace" && (all[first].replacement ?? "▁") === space);
}

/** True if no merge joins a space to the character before it; `space` is the form that a space has in tokens. */
function mergesApart(model: Json, space: string): boolean {
  const { type, vocab, continuing_subword_prefix, end_of_word_suffix, ignore_merges } = model;
  if (type !== "BPE" || !isObject(vocab) || [...space].length !== 1 || !Object.hasOwn(vocab, space)) {
    return false;
  }
  if (continuing_subword_prefix || end_of_word_suffix || ignore_merges) return false;
  return separatesSpaces(Object.keys(vocab), space);
}

/** Returns the form that a space has in tokens if no pre-tokenizer splits a text; otherwise undefined. */
function unsplitSpace(preTokenizer: unknown, space: string): string | undefined {
  // A split at spaces has no effect if a normalizer has replaced them.
  const all = partsOf(preTokenizer).filter((part) =>
    space === " " || part.type !== "Split" || patternOf(part) !== " "
  );
  if (all.length === 0) return space;
  const [{ type, replacement }] = all;
  return all.length === 1 && type === "Metaspace" && space === " " ? String(replacement ?? "▁") : undefined;
}

/** Returns a text without differences in case, accents and compatibility variants; `space` becomes a space. */
const folded = (text: string, space: string): string =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll(space, " ");

/** True if a character is a letter or digit that every normalization keeps or maps to a letter. */
const isPlain = (character: string): boolean =>
  /^[\p{L}\p{N}]$/u.test(character) && character.normalize("NFKC") === character;

/**
 * @internal Returns the functions of a tokenizer.json that encode a text in parts, given `encode` for complete texts. The
 * function `cut` is missing if the file allows no cut. If the file prepends a space to every text, the prepended space takes the
 * place of the space after a cut.
 */
export function inParts(
  file: Json,
  encode: (text: string) => Uint32Array,
): Pick<Tokenizer, "encode" | "cut"> {
  if (isByteLevel(file)) return { encode, cut: (text) => cutPieces(text, contentsOf(file)) };
  const spaces = spacesOf(file.normalizer);
  const cut = spaces && cutOf(file, spaces.space);
  if (!cut) return { encode };
  return { encode: (text, before = 0) => encode(before > 0 && spaces.prepends ? text.slice(1) : text), cut };
}

const addedOf = ({ added_tokens: added }: Json): Json[] => Array.isArray(added) ? added.filter(isObject) : [];

const contentsOf = (file: Json): string[] => addedOf(file).map(({ content }) => String(content));

/** True if texts are not normalized, and are split only into GPT-2's pieces and added tokens. */
function isByteLevel(file: Json): boolean {
  const { normalizer, pre_tokenizer: pieces } = file;
  return !normalizer && isObject(pieces) && pieces.type === "ByteLevel" &&
    pieces.add_prefix_space === false &&
    pieces.use_regex !== false &&
    addedOf(file).every(({ single_word, lstrip, rstrip }) => !single_word && !lstrip && !rstrip);
}

function cutOf(file: Json, space: string): ((text: string) => number) | undefined {
  const unsplit = unsplitSpace(file.pre_tokenizer, space);
  const apart = splitsBetween(file.pre_tokenizer, space) ||
    unsplit !== undefined && isObject(file.model) && mergesApart(file.model, unsplit);
  if (!apart) return undefined;
  const contents = contentsOf(file).map((content) => folded(content, space));
  // BertNormalizer turns other characters into spaces and adds spaces around Chinese characters, so added tokens that contain
  // spaces may match anywhere.
  const makesSpaces = partsOf(file.normalizer).some(({ type }) => type === "BertNormalizer");
  if (makesSpaces && contents.some((content) => /\s/.test(content))) return undefined;
  const reach = 2 * contents.reduce((most, { length }) => Math.max(most, length), 1);
  const hasAdded = (text: string) => contents.some((content) => folded(text, space).includes(content));
  return (text) => {
    const spaceBefore = (at: number) => text.lastIndexOf(" ", at - 1);
    // An added token may continue beyond the end of the text, so no cut is made near the end.
    for (let at = spaceBefore(text.length - reach); at > 0; at = spaceBefore(at)) {
      if (!isPlain(text[at - 1]) || !isPlain(text[at + 1] ?? "")) continue;
      if (!hasAdded(text.slice(Math.max(0, at - reach), at + reach))) return at;
    }
    return 0;
  };
}
