// YAML in and out. The parser stands behind this file alone, so that its errors become one line with a place and
// another parser is a change of one file.

import { dump, load, loadAll, YAMLException } from "js-yaml";
import { UserError } from "../errors.ts";
import { isMapping, show } from "./show.ts";
import type { Config } from "./schema.ts";

/**
 * The mapping that a YAML text holds, not yet validated; an empty text is an empty mapping.
 *
 * @param text YAML 1.2, one document
 * @param place where the text comes from, for messages: the file's path
 * @throws {UserError} where it is not YAML (`place:line:column`), holds several documents or no mapping
 *
 * @example
 * ```ts
 * import { parseConfig } from "./yaml.ts";
 * parseConfig("model: { dim: 32 }", "tiny.yaml"); // { model: { dim: 32 } }
 * ```
 */
export function parseConfig(text: string, place: string): Record<string, unknown> {
  let documents: unknown[];
  try {
    documents = loadAll(text);
  } catch (error) {
    throw new UserError(syntaxMessage(error, place));
  }
  if (documents.length > 1) {
    throw new UserError(`${place}: expected one YAML document, found ${documents.length}.`);
  }
  const root = documents[0] ?? {};
  if (!isMapping(root)) {
    throw new UserError(`${place}: expected a mapping of keys such as "seed: 1", found ${show(root)}.`);
  }
  return root;
}

function syntaxMessage(error: unknown, place: string): string {
  if (!(error instanceof YAMLException)) {
    return `${place}: expected YAML, found what cannot be parsed (${String(error).split("\n")[0]}).`;
  }
  const { mark, reason } = error;
  const at = mark === undefined ? place : `${place}:${mark.line + 1}:${mark.column + 1}`;
  return `${at}: not valid YAML: ${reason.replaceAll(/\s+/g, " ")}.`;
}

/**
 * The value of an override: a YAML flow collection, a quoted text, a number, true, false or null; anything else is
 * the text as it was written, so that a colon or a `#` needs no quotes. Nothing at all is null, as in YAML.
 *
 * @throws what the parser throws, for a list, a mapping or a quote that is not closed
 */
export function parseValue(written: string): unknown {
  const text = written.trim();
  if (text === "") return null;
  if (/^[[{"']/.test(text)) return load(text);
  try {
    const value = load(text);
    return value === null || typeof value === "number" || typeof value === "boolean" ? value : text;
  } catch {
    return text;
  }
}

/** A value on one line, as {@link parseValue} reads it back. */
export function writeValue(value: unknown): string {
  // The dumper's own form of 1e-7, "1.e-7", reads worse.
  if (typeof value === "number" && load(String(value)) === value) return String(value);
  return dump(value, { flowLevel: 0, lineWidth: -1, noRefs: true }).trimEnd();
}

/**
 * A resolved configuration as YAML: parsing and resolving it gives the same configuration.
 *
 * @example
 * ```ts
 * import { loadConfig } from "./load.ts";
 * import { dumpConfig } from "./yaml.ts";
 * console.log(dumpConfig(await loadConfig("nanogpt_cpu", ["seed=2"])));
 * ```
 */
export function dumpConfig(config: Config): string {
  return dump(config, { lineWidth: 110, noRefs: true });
}
