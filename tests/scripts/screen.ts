// A terminal for tests: scripts run on a pseudo-terminal of util-linux's `script`, and what they write is drawn on a screen
// of characters, as a terminal draws it.
import assert from "node:assert/strict";
import { taskArguments } from "./harness.ts";

/** Erases the line of progress. */
export const CLEARED = "\r\u001b[2K";
export const COLUMNS = 60;

/** Whether there is a pseudo-terminal to run scripts on. */
export const hasTerminal: boolean = await new Deno.Command("script", { args: ["--version"] }).output()
  .then(({ stdout }) => new TextDecoder().decode(stdout).includes("util-linux"), () => false);

const quoted = (words: readonly string[]) =>
  words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");

/** What a script wrote to a terminal. */
export interface Shown {
  readonly code: number;
  readonly seen: string;
  /** The same as it came, in seconds since the start; the last is the end. */
  readonly chunks: readonly { readonly text: string; readonly at: number }[];
}

/** Runs a script on a terminal of 60 columns; stdout and stderr are that terminal. `before` is a line of sh. */
export async function onTerminal(
  name: Parameters<typeof taskArguments>[0],
  args: readonly string[],
  cwd: string,
  { before = "", after = "" }: { before?: string; after?: string } = {},
): Promise<Shown> {
  const command = quoted([Deno.execPath(), ...taskArguments(name), ...args]);
  const began = performance.now();
  const process = new Deno.Command("script", {
    args: ["-qec", `stty cols ${COLUMNS} rows 24; ${before} ${command} ${after}`, "/dev/null"],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const chunks: { text: string; at: number }[] = [];
  const utf8 = new TextDecoder();
  for await (const bytes of process.stdout) {
    chunks.push({ text: utf8.decode(bytes, { stream: true }), at: (performance.now() - began) / 1000 });
  }
  const { code } = await process.status;
  chunks.push({ text: "", at: (performance.now() - began) / 1000 });
  return { code, seen: chunks.map(({ text }) => text).join(""), chunks };
}

function widthOf(character: string): number {
  if (/\p{Mn}/u.test(character)) return 0;
  return /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}/u
      .test(character)
    ? 2
    : 1;
}

/** The rows that a terminal shows after a text, and how often it began a new one because the last was full. */
export function screenOf(text: string, columns = COLUMNS): { rows: string[]; wraps: number } {
  const rows: string[][] = [[]];
  let [y, x, wraps] = [0, 0, 0];
  const line = () => rows[y] ??= [];
  // deno-lint-ignore no-control-regex
  for (const [part] of text.matchAll(/\x1b\[(\d*)([A-Za-z])|[\s\S]/gu)) {
    if (part === "\r") x = 0;
    else if (part === "\n") y++;
    else if (part === "\x1b[2K") rows[y] = [];
    // Deno's own, as it starts.
    else if (part === "\x1b[0G") x = 0;
    else if (part === "\x1b[J") rows.length = y + (x > 0 ? 1 : 0);
    else {
      assert.doesNotMatch(part, /\p{Cc}/u, `an escape that progress does not use: ${JSON.stringify(part)}`);
      const width = widthOf(part);
      if (x + width > columns) {
        [x, y] = [0, y + 1];
        wraps++;
      }
      const row = line();
      while (row.length < x) row.push(" ");
      if (width === 0 && x > 0) row[x - 1] += part;
      else {
        row[x] = part;
        if (width === 2) row[x + 1] = "";
      }
      x += width;
    }
  }
  return { rows: Array.from(rows, (row) => (row ?? []).join("").trimEnd()), wraps };
}

/** What a script wrote to a terminal, apart: lines of progress, and everything else. */
export function partsOf(seen: string): { progress: string[]; text: string } {
  const [first, ...parts] = seen.split(CLEARED);
  const isProgress = (part: string, i: number) =>
    part !== "" && !part.includes("\n") && i < parts.length - 1 && parts[i + 1] !== undefined;
  const progress = parts.filter(isProgress);
  return { progress, text: [first, ...parts.filter((part, i) => !isProgress(part, i))].join("") };
}

/** What only progress says. */
const PROGRESS =
  /\d\/\d.* {2}loss |\d (s|min|h) left$|^(sampling|evaluating|reading|drawing|saving|encoding|compiling kernels)\b/;

/** Asserts that every line of progress was one line, and that none is left in the end; returns them. */
export function assertOneLine(seen: string, columns = COLUMNS): string[] {
  const { progress, text } = partsOf(seen);
  for (const line of progress) {
    assert.equal(screenOf(line, columns).wraps, 0, `progress wraps: ${JSON.stringify(line)}`);
  }
  const { rows } = screenOf(seen, columns);
  assert.deepEqual(rows, screenOf(text, columns).rows, "progress is left on the screen");
  for (const row of rows) assert.doesNotMatch(row, PROGRESS, "progress is left on the screen");
  return progress;
}
