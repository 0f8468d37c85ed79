// The keys that a user's hooks file adds to `hooks` of a configuration. The default of a key determines its type, and is
// its value if the configuration omits the key.
import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { checkKeys, describe, exportsOf, isRecord } from "../base/user_file.ts";
import type { Config } from "./schema.ts";
import { describeValue, isMapping, showPath } from "../base/show.ts";

/** A key that a hooks file declares under `keys`. */
export interface HookKey {
  /** Default value; it also determines the type. */
  readonly default: number | boolean | string;
  /** Smallest allowed number. Default: no limit. */
  readonly min?: number;
  /** Largest allowed number. Default: no limit. */
  readonly max?: number;
  /** Allowed strings. Default: any. */
  readonly oneOf?: readonly string[];
}

/** Fields of a declared key. */
const KEYS = ["default", "min", "max", "oneOf"];

function checkDeclared(file: string, keys: unknown): Record<string, HookKey> {
  if (keys === undefined) return {};
  const fault = (key: string, value: unknown) =>
    new UserError(
      `${file}: ${
        showPath(["keys", key])
      }: expected an object with a "default" that is a number, true or false, or text, found ${
        describe(value)
      }.`,
    );
  if (!isRecord(keys)) {
    throw new UserError(`${file}: keys: expected an object of declared keys, found ${describe(keys)}.`);
  }
  for (const [key, entry] of Object.entries(keys)) {
    if (isRecord(entry)) checkKeys(`${file}: ${showPath(["keys", key])}`, entry, KEYS);
    if (
      !isMapping(entry) || !["number", "boolean", "string"].includes(typeof entry.default) || key === "file"
    ) {
      throw fault(key, entry);
    }
    const { min, max, oneOf } = entry;
    const wrong = (name: string, expected: string) => {
      return new UserError(
        `${file}: ${showPath(["keys", key])}.${name}: expected ${expected}, found ${describe(entry[name])}.`,
      );
    };
    for (const [name, limit] of Object.entries({ min, max })) {
      if (limit !== undefined && (typeof limit !== "number" || Number.isNaN(limit))) {
        throw wrong(name, "a number");
      }
    }
    const isWords = Array.isArray(oneOf) && oneOf.length > 0 &&
      oneOf.every((word) => typeof word === "string");
    if (oneOf !== undefined && !isWords) throw wrong("oneOf", "a list of texts");
  }
  return keys as Record<string, HookKey>;
}

/** Describes the values that a key allows, for error messages; returns undefined if `value` is valid. */
function expected({ default: start, min = -Infinity, max = Infinity, oneOf }: HookKey, value: unknown) {
  if (typeof start === "number") {
    const limits = [
      ...(min > -Infinity ? [`of at least ${min}`] : []),
      ...(max < Infinity ? [`of at most ${max}`] : []),
    ];
    const fits = typeof value === "number" && Number.isFinite(value) && value >= min && value <= max;
    return fits ? undefined : ["a number", limits.join(" and ")].join(" ").trim();
  }
  if (typeof start === "boolean") return typeof value === "boolean" ? undefined : "true or false";
  if (oneOf) return oneOf.includes(value as string) ? undefined : oneOf.join(" or ");
  return typeof value === "string" ? undefined : "text";
}

/**
 * Checks the keys of a configuration's hooks file and fills in their defaults.
 *
 * @param place the configuration's path, for error messages
 * @throws {UserError} if the hooks file does not load or does not declare a key that is set, or if a value is invalid
 *
 * @example
 * ```ts
 * import { resolveConfig } from "../../mod.ts";
 * import { withHookKeys } from "./mod.ts";
 * await Deno.writeTextFile("share.ts", "export const keys = { share: { default: 0.1, min: 0, max: 1 } };");
 * const config = resolveConfig({ hooks: { file: "share.ts" } }, { place: "mine.yaml", name: "mine" });
 * console.log((await withHookKeys(config, "mine.yaml")).hooks); // { file: "share.ts", share: 0.1 }
 * ```
 */
export async function withHookKeys(config: Config, place: string): Promise<Config> {
  const { file, ...given } = config.hooks;
  const names = Object.keys(given);
  if (file === null) {
    if (names.length === 0) return config;
    throw new UserError(
      `${place}: hooks.${
        names[0]
      }: this key must be declared in a hooks file; expected hooks.file to be set.`,
    );
  }
  const keys = checkDeclared(file, (await exportsOf(file, `${place}: hooks.file`)).keys);
  const unknown = names.find((name) => !Object.hasOwn(keys, name));
  if (unknown !== undefined) {
    throw new UserError(
      `${place}: hooks.${unknown}: ${file} declares no such key.${didYouMean(unknown, Object.keys(keys))}`,
    );
  }
  const values = Object.entries(keys).map(([name, key]): [string, number | boolean | string] => {
    const value = Object.hasOwn(given, name) ? given[name]! : key.default;
    const expectation = expected(key, value);
    if (expectation !== undefined) {
      const near = typeof value === "string" && key.oneOf ? closestString(value, key.oneOf) : undefined;
      throw new UserError(
        `${place}: hooks.${name}: expected ${expectation}, found ${describeValue(value)}.${
          near === undefined ? "" : ` Did you mean "${near}"?`
        }`,
      );
    }
    return [name, value];
  });
  return { ...config, hooks: { file, ...Object.fromEntries(values) } };
}
