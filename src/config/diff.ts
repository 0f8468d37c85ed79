// Differences between two configurations, key by key.
import { isMapping } from "../base/show.ts";

/** A key whose values in two configurations differ. */
export interface ConfigDifference {
  /** Path of the key, for example `model.dim` or `data.files.0`. */
  readonly key: string;
  /** Its value in the first configuration; undefined if the key is absent there. */
  readonly a: unknown;
  /** Its value in the second configuration; undefined if the key is absent there. */
  readonly b: unknown;
}

/**
 * Returns a configuration as a flat map from keys such as `model.block.attention.activation` to values; an empty list or
 * mapping counts as a value.
 *
 * @example
 * ```ts
 * import { configKeys } from "./mod.ts";
 * configKeys({ model: { dim: 64 }, files: ["a"] }); // Map { "model.dim" => 64, "files.0" => "a" }
 * ```
 */
export function configKeys(config: object): Map<string, unknown> {
  const values = new Map<string, unknown>();
  const visit = (value: unknown, path: string): void => {
    const inside = isMapping(value) || Array.isArray(value) ? Object.entries(value) : [];
    if (inside.length === 0 && path !== "") values.set(path, value);
    for (const [key, part] of inside) visit(part, path === "" ? key : `${path}.${key}`);
  };
  visit(config, "");
  return values;
}

/**
 * Returns the keys in which two configurations differ: first the keys of the first configuration in its order, then those
 * that only the second configuration has.
 *
 * @example
 * ```ts
 * import { diffConfigs } from "../../mod.ts";
 * diffConfigs({ seed: 1, model: { dim: 64 } }, { seed: 1, model: { dim: 32 } }); // [{ key: "model.dim", a: 64, b: 32 }]
 * ```
 * @category Configuration
 */
export function diffConfigs(a: object, b: object): ConfigDifference[] {
  const [first, second] = [configKeys(a), configKeys(b)];
  return [...new Set([...first.keys(), ...second.keys()])]
    .map((key) => ({ key, a: first.get(key), b: second.get(key) }))
    .filter((entry) => JSON.stringify(entry.a) !== JSON.stringify(entry.b));
}
