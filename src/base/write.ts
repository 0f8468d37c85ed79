// Functions that write all bytes to an output, even if another program has made the pipe or terminal non-blocking.

const SLEEPER = new Int32Array(new SharedArrayBuffer(4));
const LONGEST_WAIT_MS = 32;

/** Calls `write` until it no longer fails because a pipe or terminal is full. */
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

/** Whether each output is a terminal. Determined at startup, because a closed terminal no longer reports that it is one. */
const TERMINALS = { stdout: Deno.stdout.isTerminal(), stderr: Deno.stderr.isTerminal() };

/** Whether a write failed because its reader closed the pipe or terminal. */
export function readerHasGone(error: unknown, output: keyof typeof TERMINALS): boolean {
  if (error instanceof Deno.errors.BrokenPipe) return true;
  return TERMINALS[output] && (error as { code?: unknown } | undefined)?.code === "EIO";
}

interface Output {
  writeSync(bytes: Uint8Array): number;
}

/** The progress line that the terminal shows, and whether other text on the terminal ends in the middle of a line. */
const terminal = { status: "", midLine: false };

/**
 * Shows a progress line on the terminal of standard error, in place of the previous progress line. The line must be
 * narrower than the terminal and free of control characters; an empty line only erases the previous one. The progress line
 * is also erased before other text is written. Nothing is shown while other text ends in the middle of a line.
 */
export function showStatus(line: string): void {
  if (line === terminal.status || terminal.midLine) return;
  terminal.status = line;
  writeWhole(Deno.stderr, new TextEncoder().encode(`\r\x1b[2K${line}`));
}

/** Erases the progress line before other text on the same terminal. */
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
/** Maximum number of bytes in a piece without a newline, one less than the size of Deno's buffer for standard output. */
const HELD_BYTES = 1023;
/** Maximum number of bytes that are written atomically to a pipe (PIPE_BUF). */
const PIPE_BYTES = Deno.build.os === "darwin" ? 512 : 4096;

/**
 * Returns the end of the next piece to write, which is after the last newline within the next `atomic` bytes. If there is
 * no such newline, it is before the next newline or after `HELD_BYTES` bytes, whichever comes first.
 */
function pieceEnd(bytes: Uint8Array, from: number, atomic: number): number {
  const last = bytes.subarray(from, from + atomic).lastIndexOf(NEWLINE);
  if (last >= 0) return from + last + 1;
  const next = bytes.indexOf(NEWLINE, from);
  return Math.min(from + HELD_BYTES, next < 0 ? bytes.length : next);
}

/**
 * Writes bytes to standard output, each exactly once.
 *
 * Deno buffers the bytes after the last newline, and the bytes of lines that the system did not accept. If Deno cannot
 * flush this buffer, a call to `writeSync` fails without saying whether it accepted the bytes passed to it. After a failed
 * call, the answer is known for two kinds of pieces: lines short enough for an atomic write were not accepted, and a piece
 * without a newline that is shorter than the buffer was accepted. Calling `writeSync` with no bytes flushes the buffer.
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
      const bytes = piece;
      piece = new Uint8Array();
      return Deno.stdout.writeSync(bytes);
    });
  }
}

/**
 * Writes a whole string to standard error. If the reader has closed standard error, the text is dropped, because a training
 * run must continue.
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
