// Bytes that go out whole, also to a pipe or terminal that does not block: the program at its other end may have made it so.

const SLEEPER = new Int32Array(new SharedArrayBuffer(4));
const LONGEST_WAIT_MS = 32;

/** Makes a call to the system again until it has room. */
function whenRoom(write: () => number): number {
  for (let wait = 1;; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      return write();
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(SLEEPER, 0, 0, wait);
    }
  }
}

/** Before anything hangs up: a terminal that has closed is none any more. */
const TERMINALS = { stdout: Deno.stdout.isTerminal(), stderr: Deno.stderr.isTerminal() };

/** Whether a write failed because its reader has gone: a pipe that was closed, or a terminal. */
export function readerHasGone(error: unknown, output: keyof typeof TERMINALS): boolean {
  if (error instanceof Deno.errors.BrokenPipe) return true;
  return TERMINALS[output] && (error as { code?: unknown } | undefined)?.code === "EIO";
}

interface Output {
  writeSync(bytes: Uint8Array): number;
}

/** The line of progress at the end of what a terminal shows, and whether other text has not ended its line there. */
const terminal = { status: "", midLine: false };

/**
 * Shows one line, narrower than the terminal and without control characters, at the end of what the terminal of the standard
 * error shows, in place of the one that is there; other text erases it first. An empty one erases it. Where other text has
 * not ended its line nothing is shown.
 */
export function showStatus(line: string): void {
  if (line === terminal.status || terminal.midLine) return;
  terminal.status = line;
  writeWhole(Deno.stderr, new TextEncoder().encode(`\r\x1b[2K${line}`));
}

/** Makes way for other text: the line of progress is erased where they share a terminal. */
function makeWay(output: keyof typeof TERMINALS, bytes: Uint8Array): void {
  if (bytes.length === 0 || !TERMINALS[output]) return;
  terminal.midLine = false;
  try {
    showStatus("");
  } catch (error) {
    if (!readerHasGone(error, "stderr")) throw error;
  }
  terminal.midLine = bytes.at(-1) !== NEWLINE;
}

export function writeWhole(file: Output, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += whenRoom(() => file.writeSync(bytes.subarray(done)));
}

const NEWLINE = 10;
/** Less than the buffer of Deno's standard output. */
const HELD_BYTES = 1023;
/** Bytes that a pipe takes whole or not at all (PIPE_BUF); a terminal may take one and not the next. */
const PIPE_BYTES = Deno.build.os === "darwin" ? 512 : 4096;

/** Where the next piece ends: behind the last end of line that is near enough, else before the next or where the buffer is full. */
function pieceEnd(bytes: Uint8Array, from: number, atomic: number): number {
  const last = bytes.subarray(from, from + atomic).lastIndexOf(NEWLINE);
  if (last >= 0) return from + last + 1;
  const next = bytes.indexOf(NEWLINE, from);
  return Math.min(from + HELD_BYTES, next < 0 ? bytes.length : next);
}

/**
 * Writes bytes to the standard output, each of them once.
 *
 * Deno's standard output holds what comes after the last end of line, or what the system did not take of the lines, in a
 * buffer. Where flushing that fails, the call fails, and does not tell whether its bytes were taken. Of two kinds of
 * pieces it is known: lines that the system takes whole or not at all were not, and less than the buffer without an end
 * of line was. A call without bytes flushes it.
 */
export function writeStdoutWhole(bytes: Uint8Array): void {
  makeWay("stdout", bytes);
  const atomic = Deno.stdout.isTerminal() ? 1 : PIPE_BYTES;
  for (let from = 0; from < bytes.length;) {
    let piece = bytes.subarray(from, pieceEnd(bytes, from, atomic));
    if (piece.at(-1) === NEWLINE) {
      from += whenRoom(() => Deno.stdout.writeSync(piece));
      continue;
    }
    from += piece.length;
    whenRoom(() => {
      const given = piece;
      piece = new Uint8Array();
      return Deno.stdout.writeSync(given);
    });
  }
}

/**
 * Writes text to the standard error, all of it. Where the reader has gone it is dropped: that ends no training.
 *
 * @example
 * ```ts
 * import { writeStderr } from "./mod.ts";
 * writeStderr("warning: the loss is NaN\n");
 * ```
 */
export function writeStderr(text: string): void {
  const bytes = new TextEncoder().encode(text);
  makeWay("stderr", bytes);
  try {
    writeWhole(Deno.stderr, bytes);
  } catch (error) {
    if (!readerHasGone(error, "stderr")) throw error;
  }
}
