// Added tokens, which are matched in a text before it is split in any other way.
import { UserError } from "../../base/errors.ts";
import { fieldsOf, refuse } from "./fields.ts";
import type { Normalizer } from "./normalizers.ts";
import { SPACE, WORD } from "./unicode.ts";
import type { Model } from "./vocabulary.ts";

export type AddedToken = ReturnType<typeof addedTokensOf>[number];

/**
 * @internal Returns the added tokens of a file. The library tokenizers assigns the next free id to a token that is not in the
 * model, whatever id the file states, so a file that states another id is refused.
 */
export function addedTokensOf(value: unknown, model: Model) {
  const list = value ?? [];
  if (!Array.isArray(list)) refuse("added_tokens", value, "a list");
  const ids = new Map<string, number>();
  let most = -1;
  return list.map((written: unknown, i) => {
    const fields = fieldsOf(written, `added_tokens[${i}]`);
    const content = fields.filled("content");
    const special = fields.flag("special", false);
    const token = {
      place: fields.at("content"),
      id: fields.integer("id", 0),
      content,
      // A token with `single_word` is matched only if no word character is next to it.
      singleWord: fields.flag("single_word", false),
      lstrip: fields.flag("lstrip", false),
      rstrip: fields.flag("rstrip", false),
      // A token with `normalized` is matched in the normalized text, by the token's normalized form.
      normalized: fields.flag("normalized", !special),
    };
    fields.done();
    if (ids.has(content)) refuse(fields.at("content"), content, "a token that is not listed before");
    const id = model.ids.get(content) ?? Math.max(most + 1, model.count);
    if (token.id !== id) refuse(fields.at("id"), token.id, `${id}, the id of this token`);
    ids.set(content, id);
    most = Math.max(most, id);
    return token;
  });
}

/** @internal A part of a text: the id of an added token, or the text between two added tokens. */
export type Section = number | { readonly text: string; readonly first: boolean };

const BEGINS_WORD = new RegExp(`^[${WORD}]`, "v");
const ENDS_WORD = new RegExp(`[${WORD}]$`, "v");
const SPACES = new RegExp(`[${SPACE}]`, "v");

/**
 * @internal Returns a function that splits a text at added tokens. It takes the leftmost match, and of several matches at one
 * place the longest.
 */
export function finderOf(tokens: readonly AddedToken[], normalize?: Normalizer): (text: string) => Section[] {
  const byText = new Map<string, AddedToken>();
  for (const token of tokens) {
    const text = normalize ? normalize(token.content) : token.content;
    if (text === "") refuse(token.place, token.content, "a text that is not empty when normalized");
    if (byText.has(text)) refuse(token.place, token.content, "a text that is unique when normalized");
    byText.set(text, token);
  }
  if (byText.size === 0) return (text) => text === "" ? [] : [{ text, first: true }];
  const longest = [...byText.keys()].sort((a, b) => b.length - a.length);
  // A lookahead for the first characters of all tokens is faster than trying each token.
  const starts = new Set(longest.map((text) => RegExp.escape(String.fromCodePoint(text.codePointAt(0)!))));
  const pattern = new RegExp(
    `(?=[${[...starts].join("")}])(?:${longest.map(RegExp.escape).join("|")})`,
    "gv",
  );
  return (text) => sectionsOf(text, pattern, byText);
}

function sectionsOf(text: string, pattern: RegExp, byText: ReadonlyMap<string, AddedToken>): Section[] {
  const sections: Section[] = [];
  let from = 0;
  const between = (end: number) => {
    if (end > from) sections.push({ text: text.slice(from, end), first: from === 0 });
  };
  for (const match of text.matchAll(pattern)) {
    const token = byText.get(match[0])!;
    let start = match.index;
    let end = start + match[0].length;
    if (token.singleWord && (isBehindWord(text, start) || isBeforeWord(text, end))) continue;
    while (token.lstrip && start > from && SPACES.test(text[start - 1])) start--;
    while (token.rstrip && end < text.length && SPACES.test(text[end])) end++;
    if (token.lstrip) start = Math.max(start, from);
    if (start > end) throw new UserError(`tokenizer.json: added_tokens overlap at index ${start} of a text.`);
    between(start);
    // If this token is white space, the token before it may already have consumed it.
    if (end > start) sections.push(token.id);
    from = end;
  }
  between(text.length);
  return sections;
}

const isBehindWord = (text: string, at: number) => ENDS_WORD.test(text.slice(Math.max(0, at - 2), at));
const isBeforeWord = (text: string, at: number) => BEGINS_WORD.test(text.slice(at, at + 2));
