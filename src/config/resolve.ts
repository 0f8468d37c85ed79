// From a raw mapping to a Config: defaults filled in, or the first fault told in one line that names its place (the
// file, or the override that brought it), its key, what was found and what was expected.

import type { z } from "./zod.ts";
import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { type Override, parseOverride, quotedOverride } from "./override.ts";
import { type Config, definition, type JsonSchema, runJsonSchema } from "./schema.ts";
import { describeValue, isMapping, showPath, showWritten, valueAt } from "../base/show.ts";
import { FOREIGN_KEYS } from "./foreign_keys.ts";
import { firstConflict } from "./cross_checks.ts";

/** Where a raw configuration comes from. */
export type ConfigOrigin = {
  /** For messages: the file's path. */
  place: string;
  /** The run's name where the configuration gives none: the file's stem. */
  name: string;
  /** The overrides already applied to it, so that a fault of theirs is told as theirs. */
  overrides?: readonly string[];
  /** It is a checkpoint's: a key without effect is no fault. */
  saved?: boolean;
};

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** Whether one path leads to or through the other. */
function touches(a: Path, b: Path): boolean {
  return Array.from({ length: Math.min(a.length, b.length) }, (_, i) => String(a[i]) === String(b[i])).every(
    Boolean,
  );
}

/** The part of the configuration an override bears on: a dropped entry moves the others of its list. */
function reach({ path, drop }: Override): Path {
  return drop && /^\d+$/.test(path[path.length - 1]) ? path.slice(0, -1) : path;
}

/** The last override that bears on one of the keys. */
function overrideOf(origin: ConfigOrigin, keys: readonly Path[]): Override | undefined {
  return (origin.overrides ?? []).map(parseOverride)
    .findLast((override) => keys.some((k) => touches(reach(override), k)));
}

/** `configs/a.yaml: model.dim` or, where an override bears on one of the keys, `override model.dim=0`. */
function location(origin: ConfigOrigin, key: Path, keys: readonly Path[]): string {
  const written = showPath(key);
  const last = overrideOf(origin, keys);
  if (last === undefined) return written === "" ? origin.place : `${origin.place}: ${written}`;
  const place = `override ${showWritten(last.text)}`;
  return last.path.join(".") === written ? place : `${place}: ${written}`;
}

/** A known key of the same name in another section helps more than a similar one in this. */
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

/** The words that a key may have, those of every branch where it may be one of several things. */
function knownValues(issue: Issue): string[] {
  if (issue.code === "invalid_value") return issue.values.map(String);
  return issue.code === "invalid_union" ? issue.errors.flat().flatMap(knownValues) : [];
}

/** How to have what was read as a number or a truth value as the text that was written: that is no longer known of a file. */
function quoteAdvice(path: Path, found: unknown, origin: ConfigOrigin): string {
  const last = overrideOf(origin, [path]);
  const whole = last !== undefined && last.path.length === path.length;
  return whole ? ` Quote it: ${quotedOverride(last.text)}.` : ` Quote it: "${found}", or as it was written.`;
}

function describe(issue: Issue, raw: unknown, origin: ConfigOrigin): string {
  if (issue.code === "unrecognized_keys") {
    const [key] = issue.keys;
    const path = [...issue.path, key];
    return `${location(origin, path, [path])}: unknown key.${keySuggestion(key, issue.path)}`;
  }
  const found = valueAt(raw, issue.path);
  const near = typeof found === "string" ? closestString(found, knownValues(issue)) : undefined;
  const isBareText = issue.code === "invalid_type" && issue.expected === "string" &&
    (typeof found === "number" || typeof found === "boolean");
  const remedy = near !== undefined
    ? ` Did you mean "${near}"?`
    : isBareText
    ? quoteAdvice(issue.path, found, origin)
    : "";
  const at = location(origin, issue.path, [issue.path]);
  return `${at}: expected ${issue.message}, found ${describeValue(found)}.${remedy}`;
}

/** `top` over `base`: mappings key by key, as deep as a block goes, anything else as a whole. */
function overlay(base: unknown, top: unknown, depth = 3): unknown {
  if (depth === 0 || !isMapping(base) || !isMapping(top)) return top;
  const merged = Object.entries(top).map(([key, value]) => {
    return [key, overlay(valueAt(base, [key]), value, depth - 1)];
  });
  return { ...base, ...Object.fromEntries(merged) };
}

/** Each entry of model.blocks says what is special about it: the rest is model.block's. */
function withBlocks(raw: Record<string, unknown>): Record<string, unknown> {
  const model = valueAt(raw, ["model"]);
  const blocks = valueAt(model, ["blocks"]);
  if (!isMapping(model) || !Array.isArray(blocks)) return raw;
  const base = valueAt(model, ["block"]) ?? {};
  return { ...raw, model: { ...model, blocks: blocks.map((entry) => overlay(base, entry)) } };
}

/**
 * The configuration that a raw mapping stands for: every key typed, defaults filled in, keys checked against one
 * another (heads divide dim, the choices of each block suit one another, splits sum below 1, the split to evaluate on is
 * not empty, a cosine with steps of its own outlasts its warmup). Entries of `model.blocks` are laid over `model.block`.
 * Whether `data.source` exists is for the data to say. `ablations` describe other runs and are left out.
 *
 * @param raw what `parseConfig` and `applyOverride` give
 * @param origin the place for messages, the run's name where `raw` has none, and the overrides already applied
 * @throws {UserError} for the first fault; unknown keys come before all others
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
  const { ablations: _, ...own } = raw;
  const named = withBlocks(Object.hasOwn(own, "name") ? own : { name: origin.name, ...own });
  const result = definition.safeParse(named);
  if (!result.success) {
    const { issues } = result.error;
    const first = issues.find((issue) => issue.code === "unrecognized_keys") ?? issues[0];
    throw new UserError(describe(first, named, origin));
  }
  const conflict = firstConflict(result.data, origin.saved);
  if (conflict !== undefined) {
    const [key, ...keys] = [conflict.key, ...conflict.keys].map((path) => path.split("."));
    throw new UserError(`${location(origin, key, keys)}: ${conflict.message}`);
  }
  return result.data;
}
