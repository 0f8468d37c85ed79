// Runs a script: parses its arguments, sets the exit code, and reports a user's mistake in one line.
import { VERSION } from "../base/version.ts";
import { Console } from "node:console";
import type { Writable } from "node:stream";
import { stackOf, thrownBy, UserCodeError, UserError } from "../base/errors.ts";
import { ClosedPipe, writeStdout } from "../log/log_file.ts";
import { type Arguments, argumentsOf, type Command, helpOf, oneOf, type OptionSpec } from "./options.ts";
import { endProgress, PROGRESS_MODES, showProgress } from "../base/progress.ts";
import { type AnyRecord, formatRecord } from "../log/records.ts";
import { provideHeed } from "../base/running_heed.ts";
import { escapeText, messageLine } from "../base/terminal.ts";
import { userFileThatThrew } from "../base/user_file.ts";
import { writeStderr } from "../base/write.ts";

/** Maximum number of lines shown of a user's stack. */
const STACK_LINES = 30;

/** Prints the stack of an error of user code to standard error, with control characters escaped. */
function printStack(cause: unknown): void {
  for (const line of stackOf(cause).split("\n", STACK_LINES)) tellLine(messageLine(line));
}

/** Makes `console`, which user code also uses, write with functions that wait while a non-blocking pipe is full. */
function writeConsoleWhole(): void {
  const to = (write: (text: string) => void) => ({ write }) as unknown as Writable;
  const stdout = to((text) => writeStdout(new TextEncoder().encode(text)));
  Object.assign(console, new Console({ stdout, stderr: to(writeStderr), ignoreErrors: false }));
}

/**
 * Prints text to standard output with a newline; control characters except newlines and tabs are escaped.
 *
 * @example
 * ```ts
 * import { printLine } from "./mod.ts";
 * printLine("caf\x1b[31m"); // caf\u001b[31m
 * ```
 */
export function printLine(text: string): void {
  console.log(escapeText(text));
}

/** Formats a record as one line of JSON that ends with a newline; control characters are escaped. */
export function recordLine(record: AnyRecord): string {
  return escapeText(`${formatRecord(record)}\n`);
}

/**
 * Prints a record to standard output as one line of JSON, as tasks do with `--format ndjson`.
 *
 * @example
 * ```ts
 * import { printRecord } from "./mod.ts";
 * printRecord({ type: "patch", site: "heads", layer: 0, place: 1, recovered: 0.5 });
 * // {"v":2,"type":"patch","site":"heads","layer":0,"place":1,"recovered":0.5}
 * ```
 */
export function printRecord(record: AnyRecord): void {
  printLine(formatRecord(record));
}

/**
 * {@link printLine} for standard error.
 *
 * @example
 * ```ts
 * import { tellLine } from "./mod.ts";
 * tellLine("device: CPU");
 * ```
 */
export function tellLine(text: string): void {
  console.error(escapeText(text));
}

/** The option `--progress` of every script. */
const PROGRESS: OptionSpec = {
  type: "string",
  value: PROGRESS_MODES.join("|"),
  help: "on stderr: one line on a terminal, plain lines elsewhere",
  default: "auto",
};

/**
 * Runs a script: parses its arguments, prints --help, and exits with the code that `main` returns. On a `UserError`, it prints
 * one line on stderr and exits with code 2. It does the same for a missing permission, with the flag that grants it in the
 * line, and for an error in user code, whose stack it also prints. If the reader closes the output pipe, the exit code is 0.
 * Any other error is a bug and is thrown again.
 *
 * @param heed the exports of mod.ts, for user files that import heed; required if the script is bundled
 */
export async function runCommand(
  command: Command,
  main: (args: Arguments) => Promise<number>,
  heed?: Readonly<Record<string, unknown>>,
): Promise<never> {
  if (heed) provideHeed(heed);
  writeConsoleWhole();
  endAtUncaught(command);
  try {
    const full = { ...command, options: { ...command.options, progress: PROGRESS } };
    const { values: { progress, ...values }, ...rest } = argumentsOf(full, Deno.args);
    if (rest.flags.help) {
      console.log(helpOf(full));
      Deno.exit(0);
    }
    if (rest.flags.version) {
      console.log(`heed ${VERSION}`);
      Deno.exit(0);
    }
    showProgress(oneOf("progress", progress!, PROGRESS_MODES));
    Deno.exit(await main({ values, ...rest }).finally(endProgress));
  } catch (error) {
    fail(command, error);
  }
}

/** Ends a script with the message and exit code of an error; throws it again if it is a bug. */
function fail({ name }: Command, thrown: unknown): never {
  if (thrown instanceof ClosedPipe) Deno.exit(0);
  const file = thrown instanceof UserError || thrown instanceof UserCodeError
    ? undefined
    : userFileThatThrew(thrown);
  const error = file === undefined ? thrown : thrownBy(file, thrown);
  const isUserCode = error instanceof UserCodeError;
  if (!(error instanceof UserError || isUserCode || error instanceof Deno.errors.NotCapable)) throw error;
  console.error(messageLine(`${name}: ${error.message}`));
  if (isUserCode) printStack(error.cause);
  Deno.exit(2);
}

/** Makes uncaught errors and rejections of user code end a script in the same way as errors that `main` throws. */
function endAtUncaught(command: Command): void {
  const end = (event: Event, thrown: unknown) => {
    // Other errors are bugs, which Deno reports.
    if (userFileThatThrew(thrown) === undefined) return;
    event.preventDefault();
    fail(command, thrown);
  };
  addEventListener("error", (event) => end(event, event.error));
  addEventListener("unhandledrejection", (event) => end(event, event.reason));
}

/** The signals that Ctrl-C, a request to terminate, and a closed terminal send. */
const INTERRUPTS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK", "SIGHUP"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Returns an AbortController that is aborted by Ctrl-C, SIGTERM or a closed terminal, so that the script can save its work. A
 * second Ctrl-C exits at once with code 130.
 */
export function interruptSignal(): AbortController {
  const controller = new AbortController();
  for (const signal of INTERRUPTS) {
    Deno.addSignalListener(signal, () => {
      // A closing terminal may send SIGHUP twice, once from its shell and once from the system.
      if (controller.signal.aborted && signal !== "SIGHUP") Deno.exit(130);
      controller.abort("interrupted");
    });
  }
  return controller;
}

/** Buffered text output. */
export interface TextOutput {
  /** Writes text to the buffer. */
  write(text: string): void;
  /** Flushes the buffer to standard output. */
  flush(): void;
}

/**
 * Returns a buffer for text on standard output. On a terminal, control characters except newlines and tabs are escaped.
 *
 * @throws ClosedPipe when the reader has closed the pipe; UserError when the output is a file on a full disk
 *
 * @example
 * ```ts
 * import { textOutput } from "./mod.ts";
 * const out = textOutput();
 * out.write("step,loss\n");
 * out.flush();
 * ```
 */
export function textOutput(): TextOutput {
  let buffer = "";
  const isTerminal = Deno.stdout.isTerminal();
  const flush = () => {
    const text = isTerminal ? escapeText(buffer) : buffer;
    buffer = "";
    writeStdout(new TextEncoder().encode(text));
  };
  return {
    write(text) {
      buffer += text;
      if (buffer.length >= 65536) flush();
    },
    flush,
  };
}
