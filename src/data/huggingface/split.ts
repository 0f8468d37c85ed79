// Splits a text at the matches of a pattern, with the five behaviours of tokenizer.json.
import { describeValue } from "../../base/show.ts";
import { UserError } from "../../base/errors.ts";
import { type Fields, fieldsOf, refuse } from "./fields.ts";
import { translated, Untranslatable } from "./regex.ts";

/** @internal What a split does with the matches of its pattern, in the words of tokenizer.json. */
export const BEHAVIORS = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
] as const;

export type Behavior = typeof BEHAVIORS[number];

type Range = [start: number, end: number, match: boolean];

/** True if an index is inside a surrogate pair, where JavaScript allows empty matches. */
function isWithinPair(text: string, at: number): boolean {
  return at > 0 && text.codePointAt(at - 1)! > 0xffff;
}

/**
 * Divides a text into the matches of a pattern and the ranges between them. An empty match directly after another match is left
 * out.
 */
function rangesOf(text: string, pattern: RegExp): Range[] {
  try {
    return matchRanges(text, pattern);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      "tokenizer.json: a run of characters is too long for JavaScript to match an expression; expected a text in parts.",
    );
  }
}

/**
 * The time limit in ms is PATIENCE plus the number of characters in the text divided by SLOWEST. The measured speed is 30,000
 * characters per ms.
 */
const [PATIENCE, SLOWEST] = [1000, 500];

/**
 * Yields the matches of an expression. A sticky expression, which may read the same run again from each of its characters, is
 * tried index by index under a time limit.
 */
function* matchesOf(text: string, pattern: RegExp): Generator<RegExpExecArray> {
  if (!pattern.sticky) return yield* text.matchAll(pattern);
  const allowed = PATIENCE + text.length / SLOWEST;
  const end = performance.now() + allowed;
  for (let at = 0, tries = 1; at <= text.length; tries++) {
    if (tries % 16 === 0 && performance.now() > end) {
      const seconds = Math.ceil(allowed / 1000);
      throw new UserError(
        `tokenizer.json: ${describeValue(pattern.source)} takes more than ${seconds} s for ` +
          `${text.length.toLocaleString("en")} characters; expected an expression that reads each run once.`,
      );
    }
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) yield match;
    at += match?.[0].length || (text.codePointAt(at)! > 0xffff ? 2 : 1);
  }
}

function matchRanges(text: string, pattern: RegExp): Range[] {
  const ranges: Range[] = [];
  if (text === "") return ranges;
  let end = 0;
  for (const match of matchesOf(text, pattern)) {
    const { index, 0: { length } } = match;
    if (length === 0 && (isWithinPair(text, index) || (index === end && ranges.length > 0))) continue;
    if (index > end) ranges.push([end, index, false]);
    ranges.push([index, index + length, true]);
    end = index + length;
  }
  if (end < text.length) ranges.push([end, text.length, false]);
  return ranges;
}

function merged(ranges: readonly Range[], behavior: Behavior): Range[] {
  const joined: Range[] = [];
  let before = false;
  for (const [start, end, match] of behavior === "MergedWithNext" ? ranges.toReversed() : ranges) {
    const last = joined.at(-1);
    const joins = behavior === "Contiguous" ? match === before : match && !before;
    if (!last || !joins) joined.push([start, end, match]);
    else if (behavior === "MergedWithNext") last[0] = start;
    else last[1] = end;
    before = match;
  }
  return behavior === "MergedWithNext" ? joined.reverse() : joined;
}

/** @internal The non-empty pieces of a text. `first` is true if the first piece is at the start of the text. */
export interface Pieces {
  readonly pieces: string[];
  readonly first: boolean;
}

/**
 * @internal Returns a function that splits a text at a pattern, which has the flag "g" or "y" and the flag "u" or "v". If
 * `invert` is true, the matches and the ranges between them exchange their roles.
 */
export function splitter(pattern: RegExp, behavior: Behavior, invert = false): (text: string) => Pieces {
  return (text) => {
    let ranges = rangesOf(text, pattern);
    if (invert) ranges = ranges.map(([start, end, match]) => [start, end, !match]);
    if (behavior === "Removed") ranges = ranges.filter(([, , match]) => !match);
    else if (behavior !== "Isolated") ranges = merged(ranges, behavior);
    const full = ranges.filter(([start, end]) => end > start);
    return { pieces: full.map(([start, end]) => text.slice(start, end)), first: full[0]?.[0] === 0 };
  };
}

/** @internal Returns a function that replaces matches of the field `pattern` by the field `content`. */
export function replacerOf(fields: Fields): (text: string) => string {
  const { text: plain, pattern } = patternOf(fields);
  const content = fields.text("content");
  if (plain !== undefined) return (text) => text.replaceAll(plain, () => content);
  return (text) =>
    rangesOf(text, pattern).map(([start, end, match]) => match ? content : text.slice(start, end)).join("");
}

/**
 * @internal Reads the field `pattern`, which is `{ "String": text }` or `{ "Regex": expression }`. `empty` is true if the pattern
 * can match "".
 */
export function patternOf(fields: Fields): { text?: string; pattern: RegExp; empty: boolean } {
  const pattern = fieldsOf(fields.any("pattern"), fields.at("pattern"));
  const isRegex = pattern.any("Regex") !== undefined;
  const text = pattern.text(isRegex ? "Regex" : "String");
  pattern.done();
  if (!isRegex) {
    if (text === "") refuse(pattern.at("String"), text, "a text that is not empty");
    return { text, pattern: new RegExp(RegExp.escape(text), "gv"), empty: false };
  }
  try {
    return translated(text);
  } catch (error) {
    if (!(error instanceof Untranslatable || error instanceof SyntaxError)) throw error;
    const reason = error instanceof Untranslatable ? `all but ${error.message}` : "a valid expression";
    return refuse(pattern.at("Regex"), text, reason);
  }
}
