// Normalizers, which change a text before it is split. There is one function for each `type`.
import { componentOf, componentsOf, type Fields, type Makers, refuse } from "./fields.ts";
import { byteCharactersOf } from "./byte_level.ts";
import { precompiled } from "./precompiled.ts";
import { patternOf, replacerOf } from "./split.ts";
import { CONTROL, lowered, MARK, NONSPACING, normalForm, SPACE } from "./unicode.ts";

export type Normalizer = (text: string) => string;

const each = (characters: string) => new RegExp(characters, "gv");

const CONTROLS = each(CONTROL);
const SPACES = each(`[${SPACE}]`);
const MARKS = each(MARK);
const NONSPACING_MARKS = each(NONSPACING);
const LEADING = new RegExp(`^[${SPACE}]+`, "v");
const TRAILING = new RegExp(`[${SPACE}]`, "v");

/** The ideographs that BERT treats as Chinese. */
const CHINESE =
  /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gu;

function bert(fields: Fields): Normalizer {
  const clean = fields.flag("clean_text", true);
  const chinese = fields.flag("handle_chinese_chars", true);
  const lowercase = fields.flag("lowercase", true);
  const strip = fields.any("strip_accents") === null ? lowercase : fields.flag("strip_accents", lowercase);
  return (text) => {
    if (clean) text = text.replace(CONTROLS, "").replace(SPACES, " ");
    if (chinese) text = text.replace(CHINESE, " $& ");
    if (strip) text = normalForm(text, "NFD").replace(NONSPACING_MARKS, "");
    return lowercase ? lowered(text) : text;
  };
}

// deno-lint-ignore no-control-regex
const NMT_REMOVED = /[\u{1}-\u{8}\u{b}\u{e}-\u{1f}\u{7f}\u{8f}\u{9f}]/gu;
const NMT_SPACES = /[\t\n\f\r\u{1680}\u{200b}-\u{200f}\u{2028}\u{2029}\u{2581}\u{feff}\u{fffd}]/gu;

function withoutTrailing(text: string): string {
  let end = text.length;
  while (end > 0 && TRAILING.test(text[end - 1])) end--;
  return text.slice(0, end);
}

function strip(fields: Fields): Normalizer {
  const left = fields.flag("strip_left", true);
  const right = fields.flag("strip_right", true);
  return (text) => {
    const kept = left ? text.replace(LEADING, "") : text;
    return right ? withoutTrailing(kept) : kept;
  };
}

function replace(fields: Fields): Normalizer {
  // The library tokenizers panics at an empty match.
  if (patternOf(fields).empty) {
    refuse(fields.at("pattern"), fields.any("pattern"), "a pattern that matches at least one character");
  }
  return replacerOf(fields);
}

function prepend(fields: Fields): Normalizer {
  const before = fields.filled("prepend");
  return (text) => text === "" ? "" : before + text;
}

function sequence(fields: Fields): Normalizer {
  const all = componentsOf(fields, "normalizers", MAKERS);
  return (text) => all.reduce((read, normalize) => normalize(read), text);
}

const form = (name: "NFC" | "NFD" | "NFKC" | "NFKD") => () => (text: string) => normalForm(text, name);

const MAKERS: Makers<Normalizer> = {
  BertNormalizer: bert,
  Strip: strip,
  StripAccents: () => (text) => text.replace(MARKS, ""),
  NFC: form("NFC"),
  NFD: form("NFD"),
  NFKC: form("NFKC"),
  NFKD: form("NFKD"),
  Sequence: sequence,
  Lowercase: () => lowered,
  Nmt: () => (text) => text.replace(NMT_REMOVED, "").replace(NMT_SPACES, " "),
  Precompiled: precompiled,
  Replace: replace,
  Prepend: prepend,
  ByteLevel: () => byteCharactersOf,
};

export function normalizerOf(value: unknown): Normalizer | undefined {
  return (value ?? null) === null ? undefined : componentOf(value, "normalizer", MAKERS);
}
