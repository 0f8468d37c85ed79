// What every script does: run with its arguments, end with the right exit code, and report a user's mistake in one line.
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

/** Lines of a user's stack that are shown. */
const STACK_LINES = 30;

/** Prints the stack of what a user's code threw, each of its lines as a message. */
function tellStack(cause: unknown): void {
  for (const line of stackOf(cause).split("\n", STACK_LINES)) tellLine(messageLine(line));
}

/** Sends the console's text, that of a user's code too, through the writers that wait for a pipe that does not block. */
function writeConsoleWhole(): void {
  const to = (write: (text: string) => void) => ({ write }) as unknown as Writable;
  const stdout = to((text) => writeStdout(new TextEncoder().encode(text)));
  Object.assign(console, new Console({ stdout, stderr: to(writeStderr), ignoreErrors: false }));
}

/**
 * Prints text to the standard output with a newline; its control characters are escaped, but for newlines and tabs.
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

/** A record as a line with its newline; control characters are escaped as JSON has them. */
export function recordLine(record: AnyRecord): string {
  return escapeText(`${formatRecord(record)}\n`);
}

/**
 * Prints a record to the standard output: how a task prints its answer with `--format ndjson`.
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
 * Prints text to the standard error as {@link printLine} does to the standard output.
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

/** The option of every script that says how its progress is shown. */
const PROGRESS: OptionSpec = {
  type: "string",
  value: PROGRESS_MODES.join("|"),
  help: "on stderr: one line, or plain ones off a terminal",
  default: "auto",
};

/**
 * Runs a script: parses its arguments, prints --help, and exits with what `main` returns. A `UserError` is one line on
 * stderr and exit code 2, and so is a permission that was not given, with the flag that gives it. What a user's
 * own code throws is that line and its stack. A closed pipe ends quietly; a bug keeps its stack.
 *
 * @param heed the exports of mod.ts, of a script that loads files of the user's: what those import of heed
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
    const whole = { ...command, options: { ...command.options, progress: PROGRESS } };
    const { values: { progress, ...values }, ...rest } = argumentsOf(whole, Deno.args);
    if (rest.flags.help) {
      console.log(helpOf(whole));
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

/** Ends a script with the line and the exit code of what was thrown; throws it again where it is a bug. */
function fail({ name }: Command, thrown: unknown): never {
  if (thrown instanceof ClosedPipe) Deno.exit(0);
  const file = thrown instanceof UserError || thrown instanceof UserCodeError
    ? undefined
    : userFileThatThrew(thrown);
  const error = file === undefined ? thrown : thrownBy(file, thrown);
  const own = error instanceof UserCodeError;
  if (!(error instanceof UserError || own || error instanceof Deno.errors.NotCapable)) throw error;
  console.error(messageLine(`${name}: ${error.message}`));
  if (own) tellStack(error.cause);
  Deno.exit(2);
}

/** What code of a user's throws where nobody waits for it ends a script as what it throws in a call. */
function endAtUncaught(command: Command): void {
  const end = (event: Event, thrown: unknown) => {
    // Told here, or by Deno as a bug.
    if (userFileThatThrew(thrown) === undefined) return;
    event.preventDefault();
    fail(command, thrown);
  };
  addEventListener("error", (event) => end(event, event.error));
  addEventListener("unhandledrejection", (event) => end(event, event.reason));
}

/** Ctrl-C, a request to terminate, and a terminal that closes. */
const INTERRUPTS: readonly Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT", "SIGBREAK", "SIGHUP"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * A signal that Ctrl-C (or a request to terminate, or a terminal that closes) raises once, so that work can be saved; the second Ctrl-C exits at
 * once with 130.
 */
export function interruptSignal(): AbortController {
  const controller = new AbortController();
  for (const signal of INTERRUPTS) {
    Deno.addSignalListener(signal, () => {
      // A terminal that closes may say so twice: its shell and the system.
      if (controller.signal.aborted && signal !== "SIGHUP") Deno.exit(130);
      controller.abort("interrupted");
    });
  }
  return controller;
}

/** The standard output as text: what is written is held until it is worth a call, or flushed. */
export interface TextOutput {
  /** Takes text. */
  write(text: string): void;
  /** Sends what is held. */
  flush(): void;
}

/**
 * Text to the standard output, in pieces large enough to be quick; on a terminal its control characters are escaped, but for
 * newlines and tabs.
 *
 * @throws ClosedPipe when the reader has gone; UserError where the output is a file on a full disk
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
  let held = "";
  const isTerminal = Deno.stdout.isTerminal();
  const flush = () => {
    const text = isTerminal ? escapeText(held) : held;
    held = "";
    writeStdout(new TextEncoder().encode(text));
  };
  return {
    write(text) {
      held += text;
      if (held.length >= 65536) flush();
    },
    flush,
  };
}
