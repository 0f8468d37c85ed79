// Pre-tokenizers, which split a text into pieces; no token spans two pieces. There is one function for each `type`.
import { piecesOf } from "../byte_bpe.ts";
import { byteCharactersOf } from "./byte_level.ts";
import { componentOf, componentsOf, type Fields, isObject, type Makers, refuse } from "./fields.ts";
import { BEHAVIORS, patternOf, type Pieces, splitter } from "./split.ts";
import { NUMBER, PUNCTUATION, SPACE, WORD } from "./unicode.ts";

export interface PreTokenizer {
  /** Returns the non-empty pieces of a text. `first` is true if the text is at the start of the complete text. */
  split(text: string, first: boolean): Pieces;
  /** Maps each piece after all splits. The result depends only on the piece, so that its ids can be cached. */
  readonly finish?: (piece: string) => string;
  /** True if the pre-tokenizer only splits a text and prepends nothing to it. */
  readonly cuts: boolean;
}

const each = (characters: string) => new RegExp(characters, "gv");
const SPACES = each(`[${SPACE}]`);
const MARKS = each(PUNCTUATION);
const WORDS = each(`[${WORD}]+|[^${WORD}${SPACE}]+`);

/** Returns a pre-tokenizer that only splits. */
const cut = (split: (text: string) => Pieces): PreTokenizer => ({
  split(text, first) {
    const result = split(text);
    return { pieces: result.pieces, first: first && result.first };
  },
  cuts: true,
});

/** Returns a pre-tokenizer that applies several pre-tokenizers in sequence, each to every piece of the previous one. */
function chained(all: readonly PreTokenizer[]): PreTokenizer {
  const last = all.at(-1);
  return {
    split(text, first) {
      let current: Pieces = { pieces: [text], first };
      all.forEach(({ split, finish }, n) => {
        const finished = n === all.length - 1 ? undefined : finish;
        const parts = current.pieces.map((piece, i) => split(piece, current.first && i === 0));
        const pieces = parts.flatMap((part) => finished ? part.pieces.map(finished) : part.pieces);
        current = { pieces, first: current.first && (parts[0]?.first ?? false) };
      });
      return current;
    },
    finish: last?.finish,
    cuts: all.every(({ cuts }) => cuts),
  };
}

const uncut = (text: string): Pieces => ({ pieces: text === "" ? [] : [text], first: true });

function byteLevel(fields: Fields): PreTokenizer {
  const prefix = fields.flag("add_prefix_space", true);
  const regex = fields.flag("use_regex", true);
  fields.ignore("trim_offsets");
  return {
    split(text, first) {
      const prefixed = prefix && !text.startsWith(" ") ? ` ${text}` : text;
      return { pieces: regex ? piecesOf(prefixed) : [prefixed], first };
    },
    finish: byteCharactersOf,
    cuts: false,
  };
}

/**
 * The names of the rules by which Metaspace prepends its mark: to every text, only at the start of the complete text, or never.
 */
const SCHEMES = ["always", "first", "never"] as const;

/** @internal Reads the fields of the pre-tokenizer Metaspace, which the decoder Metaspace has too. */
export function metaspaceFields(fields: Fields) {
  const replacement = fields.character("replacement", "▁");
  const prefix = fields.any("add_prefix_space");
  const scheme = fields.oneOf("prepend_scheme", SCHEMES, prefix === false ? "never" : "always");
  const split = fields.flag("split", true);
  fields.ignore("str_rep");
  if (prefix !== undefined && typeof prefix !== "boolean") {
    refuse(fields.at("add_prefix_space"), prefix, "true or false");
  }
  if (prefix === false && scheme !== "never") {
    refuse(fields.at("add_prefix_space"), prefix, `true, as prepend_scheme is "${scheme}"`);
  }
  return { replacement, scheme, split };
}

function metaspace(fields: Fields): PreTokenizer {
  const { replacement, scheme, split } = metaspaceFields(fields);
  const atMarks = splitter(new RegExp(RegExp.escape(replacement), "gv"), "MergedWithNext");
  return {
    split(text, first) {
      let marked = text.replaceAll(" ", () => replacement);
      const prepends = scheme === "always" || (scheme === "first" && first);
      if (prepends && !marked.startsWith(replacement)) marked = replacement + marked;
      return split ? atMarks(marked) : uncut(marked);
    },
    cuts: false,
  };
}

function split(fields: Fields): PreTokenizer {
  const { pattern } = patternOf(fields);
  return cut(splitter(pattern, fields.oneOf("behavior", BEHAVIORS), fields.flag("invert", false)));
}

function fixedLength(fields: Fields): PreTokenizer {
  const length = fields.integer("length", 1);
  return cut((text) => {
    const characters = [...text];
    const pieces: string[] = [];
    for (let i = 0; i < characters.length; i += length) pieces.push(characters.slice(i, i + length).join(""));
    return { pieces, first: true };
  });
}

function sequence(fields: Fields): PreTokenizer {
  const all = componentsOf(fields, "pretokenizers", MAKERS);
  const written = fields.list("pretokenizers");
  // Which piece is the first of a text is known only until a pre-tokenizer does more than split.
  const changed = all.findIndex(({ cuts }) => !cuts);
  written.forEach((one, i) => {
    if (changed < 0 || i <= changed || !isObject(one) || one.prepend_scheme !== "first") return;
    refuse(
      `${fields.at("pretokenizers")}[${i}].prepend_scheme`,
      "first",
      '"always" or "never" after another',
    );
  });
  return chained(all);
}

const MAKERS: Makers<PreTokenizer> = {
  BertPreTokenizer: () => chained([cut(splitter(SPACES, "Removed")), cut(splitter(MARKS, "Isolated"))]),
  ByteLevel: byteLevel,
  CharDelimiterSplit: (fields) =>
    cut(splitter(each(RegExp.escape(fields.character("delimiter"))), "Removed")),
  Metaspace: metaspace,
  Whitespace: () => cut(splitter(WORDS, "Removed", true)),
  Sequence: sequence,
  Split: split,
  Punctuation: (fields) => cut(splitter(MARKS, fields.oneOf("behavior", BEHAVIORS, "Isolated"))),
  WhitespaceSplit: () => cut(splitter(SPACES, "Removed")),
  Digits: (fields) =>
    cut(splitter(each(`[${NUMBER}]`), fields.flag("individual_digits", false) ? "Isolated" : "Contiguous")),
  FixedLength: fixedLength,
};

/** True if a pre-tokenizer is or contains a Metaspace with prepend_scheme "first". */
function dependsOnStart(value: unknown): boolean {
  if (!isObject(value)) return false;
  return value.prepend_scheme === "first" ||
    (Array.isArray(value.pretokenizers) && value.pretokenizers.some(dependsOnStart));
}

/**
 * @internal Returns the pre-tokenizer of a file, or undefined if the file has none. `normalizes` is true if the file has a
 * normalizer.
 */
export function preTokenizerOf(value: unknown, normalizes: boolean): PreTokenizer | undefined {
  if ((value ?? null) === null) return undefined;
  const preTokenizer = componentOf(value, "pre_tokenizer", MAKERS);
  if (normalizes && dependsOnStart(value)) {
    refuse("pre_tokenizer.prepend_scheme", "first", '"first" without a normalizer, "always", "never"');
  }
  return preTokenizer;
}
