// Where a text may be cut that a tokenizer.json encodes: before a space between letters or digits, if the file's parts are
// such that neither pieces nor merges nor added tokens go over it, and nothing is put before or taken from its sides.

import { cutPieces } from "../byte_bpe.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { keepsApart } from "./bpe.ts";
import { isObject, type Json } from "./fields.ts";

function partsOf(component: unknown): Json[] {
  if (!isObject(component)) return [];
  const { type, normalizers, pretokenizers } = component;
  if (type !== "Sequence") return [component];
  const parts = normalizers ?? pretokenizers;
  return Array.isArray(parts) ? parts.flatMap(partsOf) : [component];
}

const patternOf = ({ pattern }: Json): string | undefined =>
  isObject(pattern) && typeof pattern.String === "string" ? pattern.String : undefined;

/** Normalizers that change each character, or it and the marks behind it, by itself. */
const LOCAL = "NFC NFD NFKC NFKD Lowercase StripAccents BertNormalizer Nmt Precompiled".split(" ");

/** What spaces become, and whether the same is put before a text; undefined where a normalizer may look over a cut. */
function spacesOf(normalizer: unknown): { space: string; prepends: boolean } | undefined {
  let space = " ";
  let prepended: string | undefined;
  for (const part of partsOf(normalizer)) {
    if (part.type === "Prepend" && prepended === undefined && space === " ") prepended = String(part.prepend);
    else if (part.type === "Replace") {
      const pattern = patternOf(part);
      if (pattern === " " && space === " ") space = String(part.content);
      // Of a text that is searched for, a space between letters is no inner part.
      else if (pattern === undefined || pattern.slice(1).includes(space)) return undefined;
    } else if (!LOCAL.includes(String(part.type))) return undefined;
  }
  if (prepended !== undefined && prepended !== space) return undefined;
  return { space, prepends: prepended !== undefined };
}

const CONTRACTIONS = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"];
const REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** What a `Split` looks for in GPT-2, and in GPT-4, Llama 3 and Qwen with numbers of three digits or one. */
const KNOWN_SPLITS = [
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  ...CONTRACTIONS.flatMap((contraction) =>
    ["\\p{N}", "\\p{N}{1,2}", "\\p{N}{1,3}"].map((number) =>
      `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${number}${REST}`
    )
  ),
];

/** Whether a pre-tokenizer parts a letter or digit from the space behind it, and looks no further. */
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

/** Whether the pre-tokenizers part a letter from a space, whatever stands around the two. */
function partsPieces(preTokenizer: unknown, space: string): boolean {
  const all = partsOf(preTokenizer);
  const first = all.findIndex(parts);
  if (first < 0 || !all.slice(0, first).every(({ type }) => type === "Punctuation" || type === "Digits")) {
    return false;
  }
  // A mark that only the start of a text gets: behind a cut it is there already where the space is.
  const marksStart = all.slice(first + 1).some(({ type, prepend_scheme }) =>
    type === "Metaspace" && prepend_scheme === "first"
  );
  return !marksStart &&
    (space === " " || all[first].type === "Metaspace" && (all[first].replacement ?? "▁") === space);
}

/** Whether no merge goes over a space, as tokens write it. */
function mergesApart(model: Json, space: string): boolean {
  const { type, vocab, continuing_subword_prefix, end_of_word_suffix, ignore_merges } = model;
  if (type !== "BPE" || !isObject(vocab) || [...space].length !== 1 || !Object.hasOwn(vocab, space)) {
    return false;
  }
  if (continuing_subword_prefix || end_of_word_suffix || ignore_merges) return false;
  return keepsApart(Object.keys(vocab), space);
}

/** How tokens write a space where no pre-tokenizer parts a text. */
function unpartedSpace(preTokenizer: unknown, space: string): string | undefined {
  // What looks for spaces after a normalizer has written them otherwise finds none.
  const all = partsOf(preTokenizer).filter((part) =>
    space === " " || part.type !== "Split" || patternOf(part) !== " "
  );
  if (all.length === 0) return space;
  const [{ type, replacement }] = all;
  return all.length === 1 && type === "Metaspace" && space === " " ? String(replacement ?? "▁") : undefined;
}

/** Text in which upper and lower case, accents and signs of one meaning are the same. */
const folded = (text: string, space: string): string =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll(space, " ");

/** Letters and digits that every normalization leaves as they are or takes for a letter. */
const isPlain = (character: string): boolean =>
  /^[\p{L}\p{N}]$/u.test(character) && character.normalize("NFKC") === character;

/**
 * @internal The encoder of a tokenizer.json for texts in parts, `encode` being that of whole texts: with a `cut` where the
 * file allows one. Where it puts a space before every text, the space behind a cut is that one.
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

/** Whether a text is cut into GPT-2's pieces and its added tokens, and nothing else is done to it. */
function isByteLevel(file: Json): boolean {
  const { normalizer, pre_tokenizer: pieces } = file;
  return !normalizer && isObject(pieces) && pieces.type === "ByteLevel" &&
    pieces.add_prefix_space === false &&
    pieces.use_regex !== false &&
    addedOf(file).every(({ single_word, lstrip, rstrip }) => !single_word && !lstrip && !rstrip);
}

function cutOf(file: Json, space: string): ((text: string) => number) | undefined {
  const unparted = unpartedSpace(file.pre_tokenizer, space);
  const apart = partsPieces(file.pre_tokenizer, space) ||
    unparted !== undefined && isObject(file.model) && mergesApart(file.model, unparted);
  if (!apart) return undefined;
  const contents = contentsOf(file).map((content) => folded(content, space));
  // BertNormalizer makes spaces of other characters and around Chinese ones: where they are looked for, none is plain.
  const makesSpaces = partsOf(file.normalizer).some(({ type }) => type === "BertNormalizer");
  if (makesSpaces && contents.some((content) => /\s/.test(content))) return undefined;
  const reach = 2 * contents.reduce((most, { length }) => Math.max(most, length), 1);
  const hasAdded = (text: string) => contents.some((content) => folded(text, space).includes(content));
  return (text) => {
    const spaceBefore = (at: number) => text.lastIndexOf(" ", at - 1);
    // Of what goes on beyond the end nothing is known.
    for (let at = spaceBefore(text.length - reach); at > 0; at = spaceBefore(at)) {
      if (!isPlain(text[at - 1]) || !isPlain(text[at + 1] ?? "")) continue;
      if (!hasAdded(text.slice(Math.max(0, at - reach), at + reach))) return at;
    }
    return 0;
  };
}
