// What every script does: read its arguments, end with the right exit code, and tell a user's mistake in one line.
import { maximum } from "./extremes.ts";
import { Console } from "node:console";
import { extname } from "node:path";
import type { Writable } from "node:stream";
import { parseArgs } from "node:util";
import { nearest, stackOf, suggestion, thrownBy, UserCodeError, UserError } from "./errors.ts";
import { ClosedPipe, writeStdout } from "./track/log_file.ts";
import { endProgress, PROGRESS_MODES, showProgress } from "./progress.ts";
import { type AnyRecord, formatRecord } from "./track/records.ts";
import { provideHeed } from "./running_heed.ts";
import { escapeText, messageLine } from "./terminal.ts";
import { userFileThatThrew } from "./user_file.ts";
import { VERSION } from "./version.ts";
import { writeStderr } from "./write.ts";

/** An option of a script. */
export interface OptionSpec {
  /** Whether a value follows it. */
  readonly type: "string" | "boolean";
  /** What it does; printed by --help. */
  readonly help: string;
  /** Word for its value in --help. */
  readonly value?: string;
  /** Its value where it is not given. */
  readonly default?: string;
  /** It may be given several times: what was given is among `lists`. */
  readonly multiple?: true;
}

/** A script as its --help describes it. */
export interface Command {
  /** Of its task in deno.json. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** After the name: `[config] [key=value ...]` */
  readonly usage: string;
  /** By name, without the dashes. */
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Lines to try. */
  readonly examples: readonly string[];
  /** What exit codes besides 0 and 2 mean. */
  readonly exits?: Readonly<Record<number, string>>;
}

/** Arguments of a script as given. */
export interface Arguments {
  /** What is no option, in order. */
  readonly positionals: readonly string[];
  /** Options with a value, by name. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Options without a value, by name. */
  readonly flags: Readonly<Record<string, boolean>>;
  /** Options that may be given several times, by name; those that were. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
}

/** The text of --help. */
export function helpOf({ name, summary, usage, options, examples, exits }: Command): string {
  const rows = Object.entries({ ...options, help: { type: "boolean", help: "this text" } as OptionSpec }).map(
    ([key, option]) => {
      const { type, value = "VALUE", help, default: given } = option;
      return [
        `--${key}${type === "string" ? ` ${value}` : ""}`,
        given === undefined ? help : `${help}; ${given} unless told`,
      ];
    },
  );
  const width = maximum(rows.map(([left]) => left.length));
  return [
    `${name}: ${summary} (heed ${VERSION})`,
    "",
    `Usage: deno task ${name} ${usage}`,
    "",
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    "",
    "Exit codes:",
    ...Object.entries({ 0: "success", 2: "a mistake, which one line names", ...exits })
      .map(([code, what]) => `  ${code.padEnd(3)}  ${what}`),
    "",
    "Examples:",
    ...examples.map((line) => `  ${line}`),
  ].join("\n");
}

/** An option as it was given. */
interface Given {
  readonly name: string;
  /** With its dashes. */
  readonly rawName: string;
  readonly value?: string;
  /** Whether its value was written after `=`. */
  readonly inlineValue?: boolean;
}

/** Words for values that are something: an empty path would be the working folder, or the root before a slash. */
const NEVER_EMPTY = /^(FILE|FOLDER|DIR|RUN|NAME$|GLOB|KIND|UNIT|DATE)/;

/** Throws UserError for an option that is not there, has no value or one too many, or is given again. */
function checkOption(
  { name, rawName, value, inlineValue }: Given,
  options: Command["options"],
  before: ReadonlySet<string>,
): void {
  if (rawName !== `--${name}` || !Object.hasOwn(options, name)) {
    throw new UserError(`${rawName}: unknown option.${suggestion(name, Object.keys(options))}`);
  }
  const { type, value: word = "VALUE", multiple } = options[name];
  if (type === "boolean") {
    if (value !== undefined) throw new UserError(`${rawName}: takes no value, found "${value}".`);
    return;
  }
  // A negative number, a dash alone and a word after one dash are values: no option has one dash.
  if (value === undefined || !inlineValue && value.startsWith("--")) {
    const found = value === undefined ? "nothing" : `"${value}"`;
    const remedy = value === undefined ? "" : ` Write ${rawName}=${value} where that is meant.`;
    throw new UserError(`${rawName}: expected ${word} after it, found ${found}.${remedy}`);
  }
  if (value === "" && NEVER_EMPTY.test(word)) {
    throw new UserError(`${rawName}: expected ${word} after it, found "".`);
  }
  if (before.has(name) && !multiple) throw new UserError(`${rawName}: was given before; expected it once.`);
}

/** Reads the arguments of a script; a mistake in them is a `UserError`. */
export function argumentsOf(command: Command, args: readonly string[]): Arguments {
  const options: Command["options"] = {
    ...command.options,
    help: { type: "boolean", help: "this text" },
  };
  const types = Object.fromEntries(Object.entries(options).map(([key, { type }]) => [key, { type }]));
  // What is wrong is told here, in this project's words.
  const { tokens } = parseArgs({ args: [...args], options: types, strict: false, tokens: true });
  const specs = Object.entries(command.options);
  const positionals: string[] = [];
  const values: Record<string, string | undefined> = {};
  const flags: Record<string, boolean> = {};
  const lists: Record<string, string[]> = {};
  const before = new Set<string>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    checkOption(token, options, before);
    before.add(token.name);
    if (options[token.name].type === "boolean") flags[token.name] = true;
    else if (options[token.name].multiple) (lists[token.name] ??= []).push(token.value!);
    else values[token.name] = token.value;
  }
  for (const [key, { type, multiple, default: given }] of specs) {
    if (type === "string" && !multiple) values[key] ??= given;
  }
  const found = { positionals, values, flags };
  return specs.some(([, { multiple }]) => multiple) ? { ...found, lists } : found;
}

/** Splits positionals into what to work on and the overrides `key=value`, `+key=value`, `~key`. */
export function splitOverrides(positionals: readonly string[]): { names: string[]; overrides: string[] } {
  const isOverride = (text: string) => /^[~+]/.test(text) || /^[\w.]+=/.test(text);
  return { names: positionals.filter((p) => !isOverride(p)), overrides: positionals.filter(isOverride) };
}

/**
 * The one thing that a script works on, or undefined where none is named; throws UserError at a second.
 *
 * @param what what it works on, for the message: "run"
 */
export function onlyName(names: readonly string[], what: string): string | undefined {
  if (names.length > 1) {
    throw new UserError(`${names[1]}: one ${what} at a time, ${names[0]} was given before.`);
  }
  return names[0];
}

/** A number given as an option, or undefined where it was not; throws UserError where it is none or out of range. */
export function numberOption(
  name: string,
  text: string | undefined,
  { least, most, whole = false }: { least?: number; most?: number; whole?: boolean } = {},
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  const fits = text.trim() !== "" && Number.isFinite(value) && (!whole || Number.isSafeInteger(value)) &&
    value >= (least ?? -Infinity) && value <= (most ?? Infinity);
  if (fits) return value;
  const range = least !== undefined && most !== undefined
    ? ` from ${least} to ${most}`
    : `${least === undefined ? "" : ` of at least ${least}`}${
      most === undefined ? "" : ` of at most ${most}`
    }`;
  throw new UserError(
    `--${name}: expected ${whole ? "a whole number" : "a number"}${range}, found "${text}".`,
  );
}

/**
 * Whole numbers from 0 to `most` given as an option, with commas between them, each once; undefined where it was not
 * given. Throws UserError at one that is none.
 *
 * @example
 * ```ts
 * import { wholeNumbersOption } from "../mod.ts";
 * wholeNumbersOption("head", "0,2"); // [0, 2]
 * ```
 */
export function wholeNumbersOption(
  name: string,
  text: string | undefined,
  most?: number,
): number[] | undefined {
  const numbers = text?.split(",").map((part) => numberOption(name, part, { least: 0, most, whole: true })!);
  return numbers && [...new Set(numbers)];
}

/** The options by which scripts take tensors out of a log. */
export const TENSOR_OPTIONS: Readonly<Record<"tap" | "kind" | "head", OptionSpec>> = {
  tap: { type: "string", value: "GLOB", help: "tensors by name: * is one part of it, ** any number" },
  kind: { type: "string", value: "KIND", help: "act, grad, param, param_grad, opt, update or metric" },
  head: { type: "string", value: "N,N", help: "heads, from 0" },
};

/**
 * The option that is one of a few words; throws UserError with the nearest of them.
 *
 * @example
 * ```ts
 * import { oneOf } from "../mod.ts";
 * oneOf("format", "table", ["table", "ndjson"]); // "table"
 * ```
 */
export function oneOf<Word extends string>(name: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  const near = nearest(text, words);
  throw new UserError(
    `--${name}: expected ${words.join(", ")}, found "${text}".${near ? ` Did you mean "${near}"?` : ""}`,
  );
}

/** How to have another kind of file from an SVG. */
const FROM_SVG: Readonly<Record<string, string>> = {
  ".png": "rsvg-convert",
  ".pdf": "rsvg-convert -f pdf",
  ".eps": "rsvg-convert -f eps",
  ".ps": "rsvg-convert -f ps",
};

/**
 * Throws where the file that an option names ends as another kind of file than what is written to it.
 *
 * @param name of the option
 * @param path the file; undefined where the option is not given
 * @param extension of what is written: `.svg`
 * @throws {UserError} with the name to write instead, and how to have the other kind from it
 *
 * @example
 * ```ts
 * import { checkExtension } from "../mod.ts";
 * checkExtension("out", "loss.svg", ".svg");
 * ```
 */
export function checkExtension(name: string, path: string | undefined, extension: string): void {
  const found = extname(path ?? "").toLowerCase();
  // What has no ending, or none of letters, is a name of the user's.
  if (path === undefined || found === extension || !/^\.[a-z][a-z0-9]{1,11}$/.test(found)) return;
  const own = path.slice(0, -found.length) + extension;
  const convert = extension === ".svg" ? FROM_SVG[found] : undefined;
  const remedy = convert === undefined ? "" : `, and make ${path} of it: ${convert} ${own} -o ${path}`;
  throw new UserError(
    `--${name}: expected a file that ends in ${extension}, found "${path}". Write ${own}${remedy}.`,
  );
}

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
 * import { printLine } from "../mod.ts";
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
 * import { printRecord } from "../mod.ts";
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
 * import { tellLine } from "../mod.ts";
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
 * import { textOutput } from "../mod.ts";
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
