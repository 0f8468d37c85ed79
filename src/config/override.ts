// Overrides from the command line: `model.dim=256`, `data.files.0=x.txt`, `+share=0.1`, `~model.dropout`. They change the raw
// mapping before validation, so that a key means the same in a file and on the command line.

import { didYouMean, UserError } from "../base/errors.ts";
import { escapeControls } from "../base/terminal.ts";
import { defaultsOf } from "../base/keys.ts";
import { CONFIG_KEYS } from "./schema.ts";
import { describeValue, isMapping, showPath, showWritten, valueAt } from "../base/show.ts";
import { parseValue } from "./yaml.ts";

/** A parsed override. `drop` is true for `~key`, which has no value. */
export type Override = { text: string; path: string[]; drop: boolean; value: unknown };

/** Parses `key=value`, `+key=value` or `~key`; throws a UserError with an example for anything else. */
export function parseOverride(text: string): Override {
  const equals = text.indexOf("=");
  const drop = text.startsWith("~");
  const declared = text.startsWith("+");
  const key = drop ? text.slice(1) : text.slice(declared ? 1 : 0, equals);
  if (declared && (equals === -1 || !/^[\w-]+$/.test(key))) {
    throw new UserError(
      `override ${
        describeValue(text)
      }: expected +key=value for a key that a hooks file declares, such as +share=0.1.`,
    );
  }
  if ((drop ? equals !== -1 : equals === -1) || !/^[\w-]+(\.[\w-]+)*$/.test(key)) {
    throw new UserError(
      `override ${
        describeValue(text)
      }: expected key=value such as model.dim=256, or ~key such as ~model.dropout.`,
    );
  }
  const path = declared ? ["hooks", key] : key.split(".");
  if (drop) return { text, path, drop, value: undefined };
  try {
    return { text, path, drop, value: parseValue(text.slice(equals + 1)) };
  } catch {
    throw new UserError(
      `override ${describeValue(text)}: expected a YAML value such as 0.1, text or [0.9, 0.95], found ${
        describeValue(text.slice(equals + 1))
      }. Quote such a text: ${quotedOverride(text)}.`,
    );
  }
}

/**
 * Returns an override with its value quoted as text, in a form that can be pasted into a shell, for example
 * `'sample.prompt="0x1F"'`.
 */
export function quotedOverride(text: string): string {
  const value = text.indexOf("=") + 1;
  const quoted = text.slice(0, value) + escapeControls(JSON.stringify(text.slice(value)));
  return `'${quoted.replaceAll("'", "'\\''")}'`;
}

/** Parses the index of a list's entry. An entry to drop must exist; setting the index after the last appends an entry. */
function listIndex(list: unknown[], key: string, override: Override, path: string[]): number {
  const index = /^\d+$/.test(key) ? Number(key) : -1;
  const last = override.drop ? list.length - 1 : list.length;
  if (index < 0 || index > last) {
    const valid = last < 0 ? "it is empty" : `expected an index from 0 to ${last}`;
    throw new UserError(
      `override ${showWritten(override.text)}: ${showPath(path)} is a list of ${list.length}, found ${
        describeValue(key)
      }; ${valid}.`,
    );
  }
  return index;
}

function defaultList(path: string[]): unknown[] | undefined {
  const value = valueAt(defaultsOf(CONFIG_KEYS), path);
  return Array.isArray(value) ? value : undefined;
}

// Objects are rebuilt by spread with a computed key, so that even `__proto__` becomes an ordinary key, which validation rejects.

function withValue(node: unknown, depth: number, override: Override): unknown {
  const { path, value } = override;
  if (depth === path.length) return value;
  const here = path.slice(0, depth);
  const parent = node ?? defaultList(here) ?? {};
  const key = path[depth];
  if (Array.isArray(parent)) {
    const index = listIndex(parent, key, override, here);
    const entries = [...parent];
    entries[index] = withValue(parent[index], depth + 1, override);
    return entries;
  }
  if (!isMapping(parent)) {
    throw new UserError(
      `override ${showWritten(override.text)}: ${showPath(here)} is ${
        describeValue(parent)
      }, expected a mapping to hold ${describeValue(key)}.`,
    );
  }
  return { ...parent, [key]: withValue(valueAt(parent, [key]), depth + 1, override) };
}

function withoutKey(node: unknown, depth: number, override: Override): unknown {
  const { path } = override;
  const key = path[depth];
  const isLast = depth === path.length - 1;
  if (Array.isArray(node)) {
    const index = listIndex(node, key, override, path.slice(0, depth));
    if (isLast) return node.filter((_, i) => i !== index);
    return node.map((entry, i) => i === index ? withoutKey(entry, depth + 1, override) : entry);
  }
  if (!isMapping(node) || !Object.hasOwn(node, key)) {
    const known = isMapping(node) ? Object.keys(node) : [];
    const remedy = known.length > 0 ? didYouMean(key, known) : "";
    const missing = showPath(path.slice(0, depth + 1));
    throw new UserError(
      `override ${showWritten(override.text)}: ${missing} is not set, so it cannot be dropped.${remedy}`,
    );
  }
  if (isLast) return Object.fromEntries(Object.entries(node).filter(([name]) => name !== key));
  return { ...node, [key]: withoutKey(node[key], depth + 1, override) };
}

/**
 * Returns a copy of a raw configuration with one override applied. `key.path=value` sets a key, `+key=value` sets
 * `hooks.key`, and `~key.path` drops a key that is set. The value is a YAML scalar or flow collection, a number in the path
 * is an index into a list, and a list that is not set starts as its default. Unknown keys are rejected later, by
 * validation.
 *
 * @throws {UserError} if the override has another form, its path leads through a scalar or to an index that the list does not
 *   have, or the key to drop is not set
 *
 * @example
 * ```ts
 * import { applyOverride } from "./override.ts";
 * applyOverride({ seed: 1 }, "optimizer.betas=[0.9,0.95]"); // { seed: 1, optimizer: { betas: [0.9, 0.95] } }
 * applyOverride({ seed: 1 }, "~seed"); // {}
 * ```
 */
export function applyOverride(raw: Record<string, unknown>, override: string): Record<string, unknown> {
  const parsed = parseOverride(override);
  const result = parsed.drop ? withoutKey(raw, 0, parsed) : withValue(raw, 0, parsed);
  return result as Record<string, unknown>;
}
