// The Brown corpus has one tagged sentence per line ("The/at Fulton/np-tl County/nn-tl"). This file restores the
// English as it was printed, so that a character model learns normal spacing and quotation.

const CLOSING = new Set([",", ".", ";", ":", "?", "!", ")", "]", "''"]);
const OPENING = new Set(["(", "[", "``"]);
const JOINING = new Set(["-", "/"]);
/** Marks that are written once if the corpus doubles them: "? ?" at the end of a clause, "Ala. ." after an abbreviation. */
const MARKS = new Set([",", ".", ";", ":", "?", "!"]);

/** Splits at the last slash: words may contain slashes ("1/4/cd"), tags do not. */
function splitTag(tagged: string) {
  const slash = tagged.lastIndexOf("/");
  if (slash < 0) return { text: tagged, tag: "" };
  return { text: tagged.slice(0, slash), tag: tagged.slice(slash + 1) };
}

function isHeadline(tokens: ReturnType<typeof splitTag>[]): boolean {
  return tokens.every(({ text, tag }) => tag.endsWith("-hl") || !/[\p{L}\p{N}]/u.test(text));
}

/** Joins the words of a paragraph into one line of English, with the spacing of punctuation and quotation marks. */
function spaced(words: string[]): string {
  let line = "";
  let glued = true;
  let inSingleQuotes = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const next = words[i + 1];
    if (MARKS.has(word) && line.endsWith(word)) continue;
    const turned = word === "``" && next !== undefined && CLOSING.has(next);
    let closes = CLOSING.has(word) || turned;
    let opens = OPENING.has(word) && !turned;
    if (word === "'") {
      closes = inSingleQuotes || next === undefined || CLOSING.has(next);
      opens = !closes;
      inSingleQuotes = opens;
    }
    const joins = JOINING.has(word);
    if (!glued && !closes && !joins) line += " ";
    // Quotation marks are replaced within a word too: 1/4'' means a quarter of an inch.
    line += word.replace(/``|''/g, '"');
    glued = opens || joins;
  }
  return line;
}

/**
 * Returns the plain English of one tagged file of the Brown corpus. Tags are dropped, `` `` `` and `''` become `"`, punctuation
 * is attached to the adjacent word, and doubled marks (`; ;`, `? ?`) are written once. Each paragraph or headline becomes one
 * line, and an empty line separates it from the next.
 *
 * The position of quotation marks (before the full stop) and the corpus's placeholders for formulas ("Af") are kept.
 *
 * @param tagged the content of a file such as `ca01`
 * @returns the text, ending in a newline; "" if the file has no words
 *
 * @example
 * ```ts
 * import { plainBrown } from "./brown.ts";
 * plainBrown("\tThe/at jury/nn said/vbd ,/, ``/`` no/at ''/'' ./.\n"); // 'The jury said, "no".\n'
 * ```
 */
export function plainBrown(tagged: string): string {
  const paragraphs: string[] = [];
  let words: string[] = [];
  const flush = () => {
    if (words.length > 0) paragraphs.push(spaced(words));
    words = [];
  };
  for (const line of tagged.split("\n")) {
    const tokens = line.split(/\s+/).filter((token) => token !== "").map(splitTag);
    if (tokens.length === 0 || isHeadline(tokens)) flush();
    for (const { text } of tokens) words.push(text);
    if (tokens.length > 0 && isHeadline(tokens)) flush();
  }
  flush();
  return paragraphs.length === 0 ? "" : paragraphs.join("\n\n") + "\n";
}
