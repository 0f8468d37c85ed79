// Resolves a raw mapping to a Config: fills in defaults, or reports the first error in one line that names its place (the file,
// or the override that caused it), the key, what was found and what was expected.

import type { z } from "./zod.ts";
import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { type Override, parseOverride, quotedOverride } from "./override.ts";
import { type Config, definition, type JsonSchema, runJsonSchema } from "./schema.ts";
import { describeValue, isMapping, showPath, showWritten, valueAt } from "../base/show.ts";
import { FOREIGN_KEYS } from "./foreign_keys.ts";
import { firstConflict } from "./cross_checks.ts";

/** The origin of a raw configuration. */
export type ConfigOrigin = {
  /** The file's path, for error messages. */
  place: string;
  /** The default name of the run, which is the name of the file without its extension. */
  name: string;
  /** The overrides that are already applied to the configuration, so that errors can name the override that caused them. */
  overrides?: readonly string[];
  /** Whether the configuration comes from a checkpoint, which may contain settings without effect. Default: false. */
  saved?: boolean;
};

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** Returns whether one of two paths is equal to the other or a prefix of it. */
function touches(a: Path, b: Path): boolean {
  return Array.from({ length: Math.min(a.length, b.length) }, (_, i) => String(a[i]) === String(b[i])).every(
    Boolean,
  );
}

/**
 * Returns the path that an override affects. If the override drops an entry of a list, it affects the whole list, because
 * the later entries shift.
 */
function reach({ path, drop }: Override): Path {
  return drop && /^\d+$/.test(path[path.length - 1]) ? path.slice(0, -1) : path;
}

/** Returns the last override that affects one of the keys, or undefined if there is none. */
function overrideOf(origin: ConfigOrigin, keys: readonly Path[]): Override | undefined {
  return (origin.overrides ?? []).map(parseOverride)
    .findLast((override) => keys.some((k) => touches(reach(override), k)));
}

/**
 * Returns the place of an error, which is `configs/a.yaml: model.dim` or, if an override affects one of the keys,
 * `override model.dim=0`.
 */
function location(origin: ConfigOrigin, key: Path, keys: readonly Path[]): string {
  const written = showPath(key);
  const last = overrideOf(origin, keys);
  if (last === undefined) return written === "" ? origin.place : `${origin.place}: ${written}`;
  const place = `override ${showWritten(last.text)}`;
  return last.path.join(".") === written ? place : `${place}: ${written}`;
}

/**
 * Suggests heed's equivalent of another tool's key, otherwise a key with the same name in any section, otherwise a similar
 * key in `section`.
 */
function keySuggestion(key: string, section: Path): string {
  if (Object.hasOwn(FOREIGN_KEYS, key)) return ` It is "${FOREIGN_KEYS[key]}" here.`;
  const schema = runJsonSchema();
  const moved = keyPaths(schema).find((path) => path.split(".").at(-1) === key);
  if (moved !== undefined) return ` Did you mean "${moved}"?`;
  const here = section.reduce<JsonSchema | undefined>(
    (node, name) => typeof name === "number" ? node?.items as JsonSchema : node?.properties?.[String(name)],
    schema,
  );
  const known = Object.keys(here?.properties ?? {});
  return didYouMean(key, section.length === 0 ? [...known, "ablations"] : known);
}

function keyPaths(node: JsonSchema): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => [
    name,
    ...keyPaths(child).map((path) => `${name}.${path}`),
  ]);
}

/** Returns the words that a key accepts in all branches of a union. */
function knownValues(issue: Issue): string[] {
  if (issue.code === "invalid_value") return issue.values.map(String);
  return issue.code === "invalid_union" ? issue.errors.flat().flatMap(knownValues) : [];
}

/** Says how to quote a text that was read as a number or boolean; its spelling in a file is no longer known. */
function quoteAdvice(path: Path, value: unknown, origin: ConfigOrigin): string {
  const last = overrideOf(origin, [path]);
  const exact = last !== undefined && last.path.length === path.length;
  return exact ? ` Quote it: ${quotedOverride(last.text)}.` : ` Quote it: "${value}", or as it was written.`;
}

function describeIssue(issue: Issue, raw: unknown, origin: ConfigOrigin): string {
  if (issue.code === "unrecognized_keys") {
    const [key] = issue.keys;
    const path = [...issue.path, key];
    return `${location(origin, path, [path])}: unknown key.${keySuggestion(key, issue.path)}`;
  }
  const value = valueAt(raw, issue.path);
  const near = typeof value === "string" ? closestString(value, knownValues(issue)) : undefined;
  const isBareText = issue.code === "invalid_type" && issue.expected === "string" &&
    (typeof value === "number" || typeof value === "boolean");
  const remedy = near !== undefined
    ? ` Did you mean "${near}"?`
    : isBareText
    ? quoteAdvice(issue.path, value, origin)
    : "";
  const at = location(origin, issue.path, [issue.path]);
  return `${at}: expected ${issue.message}, found ${describeValue(value)}.${remedy}`;
}

/**
 * Merges `top` over `base`. Mappings are merged key by key, down to `depth` levels; any other value is replaced by that of
 * `top`.
 */
function overlay(base: unknown, top: unknown, depth = 3): unknown {
  if (depth === 0 || !isMapping(base) || !isMapping(top)) return top;
  const merged = Object.entries(top).map(([key, value]) => {
    return [key, overlay(valueAt(base, [key]), value, depth - 1)];
  });
  return { ...base, ...Object.fromEntries(merged) };
}

/** Fills in the keys that each entry of model.blocks omits with those of model.block. */
function withBlocks(raw: Record<string, unknown>): Record<string, unknown> {
  const model = valueAt(raw, ["model"]);
  const blocks = valueAt(model, ["blocks"]);
  if (!isMapping(model) || !Array.isArray(blocks)) return raw;
  const base = valueAt(model, ["block"]) ?? {};
  return { ...raw, model: { ...model, blocks: blocks.map((entry) => overlay(base, entry)) } };
}

/**
 * Resolves a raw mapping: validates every key, fills in defaults and checks keys against one another (heads divide dim, the
 * options of each block are compatible, splits sum to less than 1, the split to evaluate on is not empty, a decay with
 * `schedule.steps` is no shorter than its warmup). Entries of `model.blocks` override `model.block`. Whether `data.source`
 * exists is checked when the data is loaded. `ablations` describe other runs and are omitted.
 *
 * @param raw result of `parseConfig` and `applyOverride`
 * @param origin the place for error messages, the default name, and the overrides already applied
 * @throws {UserError} for the first error; an unknown key is reported before any other error
 *
 * @example
 * ```ts
 * import { resolveConfig } from "./resolve.ts";
 * const config = resolveConfig({ model: { dim: 32 } }, { place: "configs/tiny.yaml", name: "tiny" });
 * config.model.heads; // 4
 * ```
 * @category Configuration
 */
export function resolveConfig(raw: Record<string, unknown>, origin: ConfigOrigin): Config {
  const { ablations: _, ...keys } = raw;
  const named = withBlocks(Object.hasOwn(keys, "name") ? keys : { name: origin.name, ...keys });
  const result = definition.safeParse(named);
  if (!result.success) {
    const { issues } = result.error;
    const first = issues.find((issue) => issue.code === "unrecognized_keys") ?? issues[0];
    throw new UserError(describeIssue(first, named, origin));
  }
  const conflict = firstConflict(result.data, origin.saved);
  if (conflict !== undefined) {
    const [key, ...keys] = [conflict.key, ...conflict.keys].map((path) => path.split("."));
    throw new UserError(`${location(origin, key, keys)}: ${conflict.message}`);
  }
  return result.data;
}
