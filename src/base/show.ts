// Formats keys and values for messages, as short texts that are always on one line. The functions take plain data and do
// not depend on the schema or on YAML.

import { escapeControls } from "./terminal.ts";

/** Whether a value is a mapping of keys (and not a list or null). */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Describes a value in a few words: a text in quotes, a number as it is, a list as "a list of 3", an object as "a mapping",
 * and undefined as "nothing".
 */
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

/**
 * Returns text that the user wrote, without quotes and on one line. Control characters are escaped, and long text is
 * truncated.
 */
export function showWritten(text: string): string {
  return escapeControls(shorten(text));
}

/**
 * Returns a path as one line, such as `model.block.mlp.factor`. Keys that are not plain words are quoted, and long keys are
 * truncated.
 */
export function showPath(path: readonly PropertyKey[]): string {
  return path.map(String).map((key) => /^[\w-]+$/.test(key) ? shorten(key) : describeValue(key)).join(".");
}

/** Returns the value at a path of own keys, or undefined if there is no such value. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
