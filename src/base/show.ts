// How keys and values look in a message: short and always one line. It knows plain data only, no schema and no YAML.

import { escapeControls } from "./terminal.ts";

/** Whether a value is a mapping of keys (and not a list or null). */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value in a few words: text and numbers as themselves, collections by their kind. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isMapping(value)) return "a mapping";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(shorten(value));
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** What the user wrote, without quotes but on one line: control characters escaped, a long text cut. */
export function showWritten(text: string): string {
  return escapeControls(shorten(text));
}

/** `model.block.mlp.factor`; a key that is not a plain word is quoted and a long one cut, so that a path stays on its line. */
export function showPath(path: readonly PropertyKey[]): string {
  return path.map(String).map((key) => /^[\w-]+$/.test(key) ? shorten(key) : describeValue(key)).join(".");
}

/** The value at a path of own keys, or undefined where the path leads nowhere. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
