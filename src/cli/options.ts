// The options of scripts: what --help says of them, how arguments are read, and values that are numbers, words or files.
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { alignedRows } from "../base/table.ts";
import { VERSION } from "../base/version.ts";
import { KINDS } from "../track/selectors.ts";
import { DEVICE_CHOICES } from "../device/device.ts";

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
  /** What it was called before, for who still writes that. */
  readonly was?: string;
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

/** The options of every script. */
const EVERYWHERE: Command["options"] = {
  help: { type: "boolean", help: "this text" },
  version: { type: "boolean", help: "the version of heed" },
};

/** The text of --help. */
export function helpOf({ name, summary, usage, options, examples, exits }: Command): string {
  const rows = Object.entries({ ...options, ...EVERYWHERE }).map(
    ([key, option]) => {
      const { type, value = "VALUE", help, default: given } = option;
      return [
        `--${key}${type === "string" ? ` ${value}` : ""}`,
        given === undefined ? help : `${help}; default: ${given}`,
      ];
    },
  );
  const lines = (cells: readonly string[][], least = 0) =>
    alignedRows(cells, { left: () => true, least }).map((line) => `  ${line}`);
  return [
    `${name}: ${summary} (heed ${VERSION})`,
    "",
    `Usage: deno task ${name} ${usage}`,
    "",
    ...lines(rows),
    "",
    "Exit codes:",
    ...lines(Object.entries({ 0: "success", 2: "a mistake, which one line names", ...exits }), 3),
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
    const now = Object.keys(options).find((key) => options[key].was === name);
    if (now) throw new UserError(`${rawName}: unknown option; it is --${now} now.`);
    throw new UserError(`${rawName}: unknown option.${didYouMean(name, Object.keys(options))}`);
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
  const options: Command["options"] = { ...command.options, ...EVERYWHERE };
  const types = Object.fromEntries(Object.entries(options).map(([key, { type }]) => [key, { type }]));
  // What is wrong is reported below, in this project's words.
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
  { min, max, whole = false }: { min?: number; max?: number; whole?: boolean } = {},
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  const fits = text.trim() !== "" && Number.isFinite(value) && (!whole || Number.isSafeInteger(value)) &&
    value >= (min ?? -Infinity) && value <= (max ?? Infinity);
  if (fits) return value;
  const range = min !== undefined && max !== undefined
    ? ` from ${min} to ${max}`
    : `${min === undefined ? "" : ` of at least ${min}`}${max === undefined ? "" : ` of at most ${max}`}`;
  throw new UserError(
    `--${name}: expected ${whole ? "a whole number" : "a number"}${range}, found "${text}".`,
  );
}

/**
 * Whole numbers from 0 to `max` given as an option, with commas between them, each once; undefined where it was not
 * given. Throws UserError at one that is none.
 *
 * @example
 * ```ts
 * import { wholeNumbersOption } from "./mod.ts";
 * wholeNumbersOption("head", "0,2"); // [0, 2]
 * ```
 */
export function wholeNumbersOption(
  name: string,
  text: string | undefined,
  max?: number,
): number[] | undefined {
  const numbers = text?.split(",").map((part) => numberOption(name, part, { min: 0, max, whole: true })!);
  return numbers && [...new Set(numbers)];
}

/** The option that names the device; it overrides the configuration's. */
export const DEVICE_OPTION: OptionSpec = {
  type: "string",
  value: DEVICE_CHOICES.join("|"),
  help: "where to compute",
};

/** The option `format` of a script that prints a table, or the records named; {@link formatOf} reads it. */
export function formatOption(records: string): OptionSpec {
  return { type: "string", value: "table|ndjson", default: "table", help: `ndjson: ${records}` };
}

/** The value of {@link formatOption}; throws UserError where it is another word. */
export function formatOf({ format }: Arguments["values"]): "table" | "ndjson" {
  return oneOf("format", format!, ["table", "ndjson"]);
}

/** What scripts work on where no run is named. */
export const DEFAULT_RUN = "runs/latest";

/** The run that a script works on: the one named, or {@link DEFAULT_RUN}; throws UserError at a second. */
export function runArgument(positionals: readonly string[], what = "run or checkpoint"): string {
  return onlyName(positionals, what) ?? DEFAULT_RUN;
}

/** The options by which scripts take tensors out of a log. */
export const TENSOR_OPTIONS: Readonly<Record<"tap" | "kind" | "head", OptionSpec>> = {
  tap: { type: "string", value: "GLOB", help: "tensors by name: * is one part of it, ** any number" },
  kind: { type: "string", value: "KIND", help: `${KINDS.join(", ")} or metric` },
  head: { type: "string", value: "N,N", help: "heads, from 0" },
};

/**
 * The option that is one of a few words; throws UserError with the nearest of them.
 *
 * @example
 * ```ts
 * import { oneOf } from "./mod.ts";
 * oneOf("format", "table", ["table", "ndjson"]); // "table"
 * ```
 */
export function oneOf<Word extends string>(name: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  const near = closestString(text, words);
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
 * import { checkExtension } from "./mod.ts";
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
