// The function parseArgs of @std/cli 1, implemented with node:util, which tokenizes the arguments. A dotted name is an
// ordinary name here; std converts dotted names to nested objects.
import { parseArgs as cut } from "node:util";

type Names<Name extends string> = Name | readonly Name[];

/** Options of `parseArgs`. An undeclared name is a flag, or takes the next argument as its value. */
export interface ParseOptions<
  Booleans extends string = string,
  Strings extends string = string,
  Collected extends string = string,
  Defaults extends Readonly<Record<string, unknown>> = Readonly<Record<string, unknown>>,
> {
  /** Names of flags, which are false by default. If this option is true, every `--name` without `=` is a flag. */
  boolean?: boolean | Names<Booleans>;
  /** Options whose values remain strings; the name `_` stands for the positionals. */
  string?: Names<Strings>;
  /** Options whose values are collected in a list. */
  collect?: Names<Collected>;
  /** Options that `--no-name` sets to false. */
  negatable?: Names<string>;
  /** Aliases of options; the result contains all of them. */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Default values. */
  default?: Defaults;
  /** Whether everything after the first positional is positional. */
  stopEarly?: boolean;
  /** Whether arguments after `--` go into the result's `--` instead of `_`. */
  "--"?: boolean;
  /** Called with each undeclared argument and each positional; if it returns false, the argument is dropped. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Result of `parseArgs`: options by name, and positionals. */
export type Args<
  Booleans extends string = never,
  Strings extends string = never,
  Collected extends string = never,
  Defaults = unknown,
> =
  & Record<string, unknown>
  & { [Name in Booleans as string extends Name ? never : Name]: Name extends Collected ? boolean[] : boolean }
  & { [Name in Exclude<Strings, Collected | keyof Defaults | "_">]?: string }
  & { [Name in Strings & keyof Defaults]: string | Defaults[Name] }
  & { [Name in Strings & Collected]: string[] }
  & {
    /** Positionals; those that look like numbers are numbers. */
    _: (string | number)[];
    "--"?: string[];
  };

const isNumber = (text: string): boolean =>
  /^0x[0-9a-f]+$/i.test(text) || /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/.test(text);

/** Splits `-abc` into its flags; the last flag may have a value, as in `-n5`, `-n=5` or `-n/a`. */
function shortOptions(letters: string): [name: string, value?: string][] {
  const options: [string, string?][] = [];
  for (let i = 0; i < letters.length; i++) {
    const [letter, rest] = [letters[i], letters.slice(i + 1)];
    const isLetter = /[a-z]/i.test(letter);
    if (isLetter && rest.includes("=")) return [...options, [letter, rest.slice(rest.indexOf("=") + 1)]];
    if (isLetter && /\d\.?$/.test(rest) || /^\W/.test(rest)) return [...options, [letter, rest]];
    options.push([letter]);
  }
  return options;
}

/** Returns the declarations of options by name; an alias has the declarations of its option. */
function declared(
  { alias = {}, boolean, string, collect, negatable }: Pick<
    ParseOptions,
    "alias" | "boolean" | "string" | "collect" | "negatable"
  >,
) {
  const groups = new Map(
    Object.entries(alias).flatMap(([name, others]) => {
      const group = [name, ...[others].flat()];
      return group.map((each) => [each, group] as const);
    }),
  );
  const named = (name: string) => groups.get(name) ?? [name];
  const setOf = (names: Names<string> = []) => new Set([names].flat().flatMap(named));
  const [flags, strings, lists] = [typeof boolean === "boolean" ? [] : boolean, string, collect].map(setOf);
  const isDeclared = (name: string, arg: string) =>
    flags.has(name) || strings.has(name) || groups.has(name) || boolean === true && /^--[^=]+$/.test(arg);
  return { named, isDeclared, flags, strings, lists, negatable: setOf(negatable) };
}

/**
 * Parses command-line arguments as @std/cli does: values that look like numbers are converted to numbers, unless their
 * option is declared as a string.
 *
 * @example
 * ```ts
 * import { parseArgs } from "@std/cli";
 * parseArgs(["a.txt", "--seed", "7", "-v"], { boolean: ["v"] }); // { _: ["a.txt"], seed: 7, v: true }
 * ```
 */
export function parseArgs<
  Booleans extends string = never,
  Strings extends string = never,
  Collected extends string = never,
  Defaults extends Readonly<Record<string, unknown>> = Record<never, never>,
>(
  args: readonly string[],
  options: ParseOptions<Booleans, Strings, Collected, Defaults> = {},
): Args<Booleans, Strings, Collected, Defaults> {
  const { boolean, stopEarly = false, "--": apart = false, unknown = () => true } = options;
  const { named, isDeclared, flags, strings, lists, negatable } = declared(options);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const [before, behind] = [args.slice(0, end), args.slice(end + 1)];
  const result: Record<string, unknown> & { _: (string | number)[] } = { _: [] };

  const typed = (name: string, value: unknown) =>
    typeof value === "string" && !strings.has(name) && isNumber(value) ? Number(value) : value;
  const set = (name: string, value: unknown, arg: string, adds = true) => {
    if (!isDeclared(name, arg) && unknown(arg, name, value) === false) return;
    const parsed = typed(name, value);
    for (const each of named(name)) {
      result[each] = adds && lists.has(each) ? [result[each] ?? [], parsed].flat() : parsed;
    }
  };
  /** Sets an option without `=`; returns whether the next argument is its value. */
  const setFrom = (name: string, arg: string, next: string | undefined, mayTake: boolean): boolean => {
    const isText = mayTake && !!next && !flags.has(name);
    const isTruth = next === "true" || next === "false";
    set(name, isText ? next : isTruth ? next === "true" : strings.has(name) ? "" : true, arg);
    return isText || isTruth;
  };

  let taken = -1;
  for (const token of cut({ args: before, strict: false, tokens: true }).tokens) {
    const { index, kind } = token;
    if (index <= taken) continue;
    taken = index;
    const [arg, next] = [before[index], before[index + 1]];
    if (kind === "positional") {
      if (unknown(arg) !== false) result._.push(typed("_", arg) as string | number);
      if (!stopEarly) continue;
      for (const rest of before.slice(index + 1)) result._.push(rest);
      break;
    }
    if (kind !== "option") continue;
    const { name, inlineValue, value } = token;
    if (!arg.startsWith("--")) {
      const short = shortOptions(arg.slice(1));
      const [last, shortValue] = short.pop()!;
      for (const [letter] of short) set(letter, strings.has(letter) ? "" : true, arg);
      if (shortValue !== undefined) set(last, shortValue, arg);
      else if (setFrom(last, arg, next, !/^--?[^-]/.test(next ?? ""))) taken++;
    } else if (inlineValue) set(name, flags.has(name) ? value !== "false" : value, arg);
    else if (name.startsWith("no-") && negatable.has(name.slice(3))) set(name.slice(3), false, arg, false);
    else if (setFrom(name, arg, next, boolean !== true && !next?.startsWith("-"))) taken++;
  }
  for (const [name, value] of Object.entries(options.default ?? {})) {
    if (!Object.hasOwn(result, name)) { for (const each of named(name)) result[each] = value; }
  }
  for (const name of flags) if (!Object.hasOwn(result, name)) result[name] = lists.has(name) ? [] : false;
  for (const name of strings) if (!Object.hasOwn(result, name) && lists.has(name)) result[name] = [];
  if (apart) result["--"] = behind;
  else for (const arg of behind) result._.push(arg);
  return result as Args<Booleans, Strings, Collected, Defaults>;
}
