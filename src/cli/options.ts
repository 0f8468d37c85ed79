// Options of scripts: --help, parsing of arguments, and values that are numbers, words or files.
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { alignedRows } from "../base/table.ts";
import { VERSION } from "../base/version.ts";
import { KINDS } from "../track/selectors.ts";
import { DEVICE_CHOICES } from "../device/device.ts";

/** An option of a script. */
export interface OptionSpec {
  /** "string" if it takes a value, "boolean" if it takes none. */
  readonly type: "string" | "boolean";
  /** Its description in --help. */
  readonly help: string;
  /** Placeholder for its value in --help. */
  readonly value?: string;
  /** The option's default value. */
  readonly default?: string;
  /** Whether the option can be repeated. If it can, its values are in `Arguments.lists`. */
  readonly multiple?: true;
  /** The option's former name. If a user writes it, the error message gives the current name. */
  readonly was?: string;
}

/** The description of a script, from which its --help is built. */
export interface Command {
  /** Name of its task in deno.json. */
  readonly name: string;
  /** What it does, in one sentence. */
  readonly summary: string;
  /** The arguments that the script takes, for example `[config] [key=value ...]`. */
  readonly usage: string;
  /** The options, keyed by name without dashes. */
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Example commands. */
  readonly examples: readonly string[];
  /** Meaning of exit codes other than 0 and 2. */
  readonly exits?: Readonly<Record<number, string>>;
}

/** Parsed arguments of a script. */
export interface Arguments {
  /** Positional arguments, in order. */
  readonly positionals: readonly string[];
  /** Values of the options that take one, keyed by name; an option that is not given has its default. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** The given options that take no value, keyed by name; each is true. */
  readonly flags: Readonly<Record<string, boolean>>;
  /** Values of the repeatable options that were given, keyed by name; undefined if the script has no repeatable option. */
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
      const { type, value = "VALUE", help, default: defaultValue } = option;
      return [
        `--${key}${type === "string" ? ` ${value}` : ""}`,
        defaultValue === undefined ? help : `${help}; default: ${defaultValue}`,
      ];
    },
  );
  const lines = (cells: readonly string[][], minWidth = 0) =>
    alignedRows(cells, { left: () => true, least: minWidth }).map((line) => `  ${line}`);
  return [
    `${name}: ${summary} (heed ${VERSION})`,
    "",
    `Usage: deno task ${name} ${usage}`,
    "",
    ...lines(rows),
    "",
    "Exit codes:",
    ...lines(Object.entries({ 0: "success", 2: "user error, reported in one line", ...exits }), 3),
    "",
    "Examples:",
    ...examples.map((line) => `  ${line}`),
  ].join("\n");
}

/** An option on the command line. */
interface Given {
  readonly name: string;
  /** Its name as written, with dashes. */
  readonly rawName: string;
  readonly value?: string;
  /** Whether its value was written after `=`. */
  readonly inlineValue?: boolean;
}

/**
 * Matches the placeholder (`OptionSpec.value`) of a value that must not be empty; an empty path, for example, would mean the
 * working folder.
 */
const NEVER_EMPTY = /^(FILE|FOLDER|DIR|RUN|NAME$|GLOB|KIND|UNIT|DATE)/;

/** Throws UserError for an option that is unknown, lacks its value, has a value but takes none, or is repeated. */
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
  // Options begin with two dashes, so "-1", "-" and "-word" are values.
  if (value === undefined || !inlineValue && value.startsWith("--")) {
    const actual = value === undefined ? "nothing" : `"${value}"`;
    const remedy = value === undefined ? "" : ` If it is the value, write ${rawName}=${value}.`;
    throw new UserError(`${rawName}: expected ${word} after it, found ${actual}.${remedy}`);
  }
  if (value === "" && NEVER_EMPTY.test(word)) {
    throw new UserError(`${rawName}: expected ${word} after it, found "".`);
  }
  if (before.has(name) && !multiple) throw new UserError(`${rawName}: given twice, expected once.`);
}

/** Parses the arguments of a script; throws UserError for an invalid one. */
export function argumentsOf(command: Command, args: readonly string[]): Arguments {
  const options: Command["options"] = { ...command.options, ...EVERYWHERE };
  const types = Object.fromEntries(Object.entries(options).map(([key, { type }]) => [key, { type }]));
  // With strict: false, errors are reported by checkOption, as UserErrors.
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
  for (const [key, { type, multiple, default: defaultValue }] of specs) {
    if (type === "string" && !multiple) values[key] ??= defaultValue;
  }
  const parsed = { positionals, values, flags };
  return specs.some(([, { multiple }]) => multiple) ? { ...parsed, lists } : parsed;
}

/** Splits positional arguments into `overrides` (`key=value`, `+key=value`, `~key`) and `names` (all others). */
export function splitOverrides(positionals: readonly string[]): { names: string[]; overrides: string[] } {
  const isOverride = (text: string) => /^[~+]/.test(text) || /^[\w.]+=/.test(text);
  return { names: positionals.filter((p) => !isOverride(p)), overrides: positionals.filter(isOverride) };
}

/**
 * Returns the only name, or undefined if there is none. Throws UserError if there are several.
 *
 * @param what the kind of thing that a name denotes, for the error message, such as "run"
 */
export function onlyName(names: readonly string[], what: string): string | undefined {
  if (names.length > 1) {
    throw new UserError(`${names[1]}: one ${what} at a time, ${names[0]} was given before.`);
  }
  return names[0];
}

/**
 * Parses the value of an option as a number from `min` to `max`. Returns undefined if the option is not given; throws UserError
 * if its value is not such a number.
 */
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
 * Parses the value of an option as comma-separated whole numbers from 0 to `max`, and removes duplicates. Returns undefined if
 * the option is not given; throws UserError if its value contains anything else.
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

/** The option `--device`, which overrides `device` of the configuration. */
export const DEVICE_OPTION: OptionSpec = {
  type: "string",
  value: DEVICE_CHOICES.join("|"),
  help: "where to compute",
};

/**
 * Returns the option `--format`, whose value {@link formatOf} reads. `records` is the part of the help text
 * that says what one line of NDJSON describes.
 */
export function formatOption(records: string): OptionSpec {
  return { type: "string", value: "table|ndjson", default: "table", help: `ndjson: ${records}` };
}

/** Returns the value of the option `--format`. Throws UserError if it is neither "table" nor "ndjson". */
export function formatOf({ format }: Arguments["values"]): "table" | "ndjson" {
  return oneOf("format", format!, ["table", "ndjson"]);
}

/** The run that scripts work on by default. */
export const DEFAULT_RUN = "runs/latest";

/** Returns the run that the arguments name, or {@link DEFAULT_RUN} if they name none. Throws UserError if they name several. */
export function runArgument(positionals: readonly string[], what = "run or checkpoint"): string {
  return onlyName(positionals, what) ?? DEFAULT_RUN;
}

/** The options that select tensors of a log. */
export const TENSOR_OPTIONS: Readonly<Record<"tap" | "kind" | "head", OptionSpec>> = {
  tap: { type: "string", value: "GLOB", help: "tensors by name: * matches one part, ** any number" },
  kind: { type: "string", value: "KIND", help: `${KINDS.join(", ")} or metric` },
  head: { type: "string", value: "N,N", help: "heads, from 0" },
};

/**
 * Checks that the value of an option is one of the allowed words; otherwise throws UserError, which suggests the closest
 * word.
 *
 * @example
 * ```ts
 * import { oneOf } from "./mod.ts";
 * oneOf("format", "table", ["table", "ndjson"]); // "table"
 * ```
 */
export function oneOf<Word extends string>(name: string, text: string, words: readonly Word[]): Word {
  const match = words.find((word) => word === text);
  if (match !== undefined) return match;
  const near = closestString(text, words);
  throw new UserError(
    `--${name}: expected ${words.join(", ")}, found "${text}".${near ? ` Did you mean "${near}"?` : ""}`,
  );
}

/** Commands that convert an SVG to another format. */
const FROM_SVG: Readonly<Record<string, string>> = {
  ".png": "rsvg-convert",
  ".pdf": "rsvg-convert -f pdf",
  ".eps": "rsvg-convert -f eps",
  ".ps": "rsvg-convert -f ps",
};

/**
 * Throws if the file that an option names has the extension of another format.
 *
 * @param name the option's name
 * @param path the file; undefined if the option is not given
 * @param extension the extension of the written format: `.svg`
 * @throws {UserError} whose message gives the name to use instead and, if it is known, the command that converts the file
 *
 * @example
 * ```ts
 * import { checkExtension } from "./mod.ts";
 * checkExtension("out", "loss.svg", ".svg");
 * ```
 */
export function checkExtension(name: string, path: string | undefined, extension: string): void {
  const ending = extname(path ?? "").toLowerCase();
  // A name is accepted if it has no extension, or one that does not begin with a letter.
  if (path === undefined || ending === extension || !/^\.[a-z][a-z0-9]{1,11}$/.test(ending)) return;
  const renamed = path.slice(0, -ending.length) + extension;
  const convert = extension === ".svg" ? FROM_SVG[ending] : undefined;
  const remedy = convert === undefined ? "" : `, and convert it to ${path}: ${convert} ${renamed} -o ${path}`;
  throw new UserError(
    `--${name}: expected a file that ends in ${extension}, found "${path}". Write ${renamed}${remedy}.`,
  );
}
