// Formats keys and values for messages: short and always on one line. For plain data, independent of schema and YAML.

import { escapeControls } from "./terminal.ts";

/** Whether a value is a mapping of keys (and not a list or null). */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value in a few words: quoted text, a number as it is, "a list of 3", "a mapping"; "nothing" for undefined. */
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

/** Text that the user wrote, without quotes, on one line: control characters escaped, long text truncated. */
export function showWritten(text: string): string {
  return escapeControls(shorten(text));
}

/** A path as one line, `model.block.mlp.factor`: keys that are not plain words are quoted, and long keys are truncated. */
export function showPath(path: readonly PropertyKey[]): string {
  return path.map(String).map((key) => /^[\w-]+$/.test(key) ? shorten(key) : describeValue(key)).join(".");
}

/** The value at a path of own keys, or undefined if there is none. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
