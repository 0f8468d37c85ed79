// Describes the keys of a configuration as text: the allowed values, the default and the meaning of each key.
import { didYouMean, UserError } from "../base/errors.ts";
import { type Key, type KeyList, type Keys, type KeySection, namesOf } from "../base/keys.ts";
import { EXPECTED } from "./fields.ts";
import { CONFIG_KEYS } from "./schema.ts";

/** Describes the allowed values of a key in words. */
function valuesOf(key: Key): string {
  const { is, oneOf, least, list, pair, expected } = key;
  const kind = is === undefined && least !== undefined ? EXPECTED.integer : is && EXPECTED[is];
  const words = [
    ...(oneOf ? namesOf(oneOf) : []),
    ...(expected ? [expected] : kind ? [kind + (least === undefined ? "" : ` of at least ${least}`)] : []),
    ...(list && !expected ? ["a list"] : []),
    ...(pair && !expected ? ["two numbers"] : []),
    ...((key.default === null || key.orNull) && !expected?.endsWith("null") ? ["null"] : []),
  ];
  return words.join(", ");
}

/** Returns two lines for a key and for each key inside it: `path: values; default: value`, and the meaning of the key. */
function linesOf(path: string, key: Key | KeySection | KeyList): { path: string; lines: string[] }[] {
  const item = (values: string, start: string) => ({
    path,
    lines: [`${path}: ${values}${start && `; default: ${start}`}`, `    ${key.doc}`],
  });
  if ("keys" in key) {
    const section = item(key.default === null ? "keys, null" : "keys", key.default === null ? "null" : "");
    return [section, ...below(path, key.keys)];
  }
  if ("entries" in key) return [item(key.expected ?? "a list", "[]"), ...below(`${path}.N`, key.entries)];
  return [item(valuesOf(key), key.default === undefined ? "" : JSON.stringify(key.default))];
}

const below = (path: string, keys: Keys): { path: string; lines: string[] }[] =>
  Object.entries(keys).flatMap(([name, key]) => linesOf(path === "" ? name : `${path}.${name}`, key));

/**
 * Returns lines that describe the keys of a configuration that start with a prefix: the allowed values, the default and the
 * meaning of each key. For the keys of a list's entries, `N` stands for the index of an entry, from 0.
 *
 * @param prefix a key, or the beginning of several keys, for example "model.block"
 * @throws {UserError} if no key starts with the prefix; the message suggests the nearest key
 *
 * @example
 * ```ts
 * import { keyLines } from "./mod.ts";
 * console.log(keyLines("model.dim").join("\n")); // model.dim: an integer of at least 1; default: 128
 * ```
 * @category Configuration
 */
export function keyLines(prefix = ""): string[] {
  const all = below("", CONFIG_KEYS);
  // A block of model.blocks has the keys of model.block.
  const isRepeated = (path: string) => path.startsWith("model.blocks.") && !prefix.startsWith("model.blocks");
  const chosen = all.filter(({ path }) => path.startsWith(prefix) && !isRepeated(path));
  if (chosen.length > 0) return chosen.flatMap(({ lines }) => lines);
  throw new UserError(
    `--keys ${prefix}: no key starts with that.${didYouMean(prefix, all.map(({ path }) => path))}`,
  );
}
