// Reads and writes YAML. Only this file uses the YAML parser, so that the parser can be replaced here. Errors of the parser
// are reduced to one line with a place.

import { UserError } from "../base/errors.ts";
import { CORE_SCHEMA, dump, load, loadAll, mergeTag, YAMLException } from "../std/js_yaml.ts";
import { describeValue, isMapping } from "../base/show.ts";
import type { Config } from "./schema.ts";

/** YAML 1.2 with the merge keys (`<<`) of 1.1, which most parsers support. */
const schema = CORE_SCHEMA.withTags(mergeTag);

/** Maximum number of values in a text after aliases are expanded; a run's configuration has at most a few hundred values. */
const MAX_VALUES = 100_000;

/** Returns the reason why a parsed value is not a finite tree of reasonable size, or undefined if it is one. */
function aliasFault(root: unknown): string | undefined {
  const above = new Set<object>();
  let count = 0;
  const faultIn = (value: unknown): string | undefined => {
    if (++count > MAX_VALUES) {
      return `expected at most ${
        MAX_VALUES.toLocaleString("en")
      } values, found more; an alias counts as its full value`;
    }
    if (typeof value !== "object" || value === null) return undefined;
    if (above.has(value)) return "expected a finite value, found an alias inside its own value";
    above.add(value);
    for (const entry of Object.values(value)) {
      const fault = faultIn(entry);
      if (fault !== undefined) return fault;
    }
    above.delete(value);
    return undefined;
  };
  return faultIn(root);
}

/** Matches a root key that starts with a dot, and its value in block style. */
const HOLDER = /^(["']?)(\.[^\s:"']*)\1[ \t]*:(?=\s|$).*(?:\n(?:[ \t#-].*)?)*/gm;

/**
 * Returns the first root key that starts with a dot and holds no anchor. Such a key has no effect, so its dot is probably a
 * mistake.
 */
function idleHolder(text: string): string | undefined {
  return [...text.matchAll(HOLDER)].find(([block]) => !/(^|[\s[{,:])&[^\s,[\]{}]/.test(block))?.[2];
}

/** Decodes a file's bytes as UTF-8. */
function textOf(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${place}: not UTF-8 text; save it as UTF-8.`);
  }
}

/**
 * Parses a YAML text to a mapping, without validation; an empty text is an empty mapping. Merge keys (`<<`) are merged. A
 * root key that starts with a dot holds anchors for merge keys and is omitted.
 *
 * @param source one YAML 1.2 document, as text or as UTF-8 bytes
 * @param place the file's path, for error messages
 * @throws {UserError} if the source is not UTF-8 or not YAML (`place:line:column`), holds several documents or no
 *   mapping, a root key with a leading dot holds no anchor, an alias is inside its own value, or aliases expand to too many
 *   values
 *
 * @example
 * ```ts
 * import { parseConfig } from "./yaml.ts";
 * parseConfig("model: { dim: 32 }", "tiny.yaml"); // { model: { dim: 32 } }
 * ```
 */
export function parseConfig(source: string | Uint8Array, place: string): Record<string, unknown> {
  const text = typeof source === "string" ? source : textOf(source, place);
  let documents: unknown[];
  try {
    documents = loadAll(text, { schema });
  } catch (error) {
    throw new UserError(syntaxMessage(error, place));
  }
  // A trailing `---` starts an empty document.
  while (documents.length > 1 && documents.at(-1) === null) documents.pop();
  if (documents.length > 1) {
    throw new UserError(`${place}: expected one YAML document, found ${documents.length}.`);
  }
  const root = documents[0] ?? {};
  if (!isMapping(root)) {
    throw new UserError(
      `${place}: expected a mapping of keys such as "seed: 1", found ${describeValue(root)}.`,
    );
  }
  const fault = aliasFault(root);
  if (fault !== undefined) throw new UserError(`${place}: ${fault}.`);
  const idle = idleHolder(text);
  if (idle !== undefined && Object.hasOwn(root, idle)) {
    throw new UserError(
      `${place}: ${describeValue(idle)} has a leading dot but holds no anchor; expected an anchor, such as ` +
        `"${idle}: &name ...", or the key without its dot.`,
    );
  }
  return Object.fromEntries(Object.entries(root).filter(([key]) => !key.startsWith(".")));
}

function syntaxMessage(error: unknown, place: string): string {
  if (!(error instanceof YAMLException)) {
    return `${place}: cannot be parsed as YAML (${String(error).split("\n")[0]}).`;
  }
  const { mark, reason } = error;
  const at = mark === undefined ? place : `${place}:${mark.line + 1}:${mark.column + 1}`;
  return `${at}: not valid YAML: ${reason.replaceAll(/\s+/g, " ")}.`;
}

/** Matches a text that may be a number, true, false or null, because it has no YAML indicator and no space. */
const SCALAR = /^(~|[-+.]{0,2}\w[\w.+-]*)$/;
/** Matches a text in a list or mapping, which is either quoted or ends before a comma, a bracket or the colon of a key. */
const FLOW_TEXT = /"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,[\]{}"':](?:[^,[\]{}:]|:(?![\s,[\]{}]|$))*/g;

/** Quotes a plain text of a list that YAML would read as an anchor, alias, tag, comment or the like. */
function quoteIndicators(plain: string): string {
  const text = plain.trimEnd();
  if (/^["']/.test(text) || !/^[&*!|>%@`#?-]|\s#/.test(text) || SCALAR.test(text)) return plain;
  return JSON.stringify(text) + plain.slice(text.length);
}

/**
 * Parses the value of an override. The value may be a list or a mapping as a YAML flow collection, a quoted text, a number,
 * true, false or null. Any other value is taken literally as text, which needs no quotes, and so is an entry of a list or
 * mapping that is written without quotes. An empty value is null, as in YAML.
 *
 * @throws {YAMLException} for an unclosed list, mapping or quote
 */
export function parseValue(written: string): unknown {
  if (written === "") return null;
  const text = written.trim();
  if (/^[[{"']/.test(text)) {
    const value = load(/^[[{]/.test(text) ? text.replaceAll(FLOW_TEXT, quoteIndicators) : text, { schema });
    if (aliasFault(value) !== undefined) throw new YAMLException("aliases without end");
    return value;
  }
  const value = SCALAR.test(text) ? load(text, { schema }) : text;
  return value === null || typeof value === "number" || typeof value === "boolean" ? value : written;
}

/** Writes a value on one line; {@link parseValue} reads it back. */
export function writeValue(value: unknown): string {
  // The dumper writes 1e-7 as "1.e-7".
  if (typeof value === "number" && load(String(value)) === value) return String(value);
  return dump(value, { flowLevel: 0, lineWidth: -1, noRefs: true }).trimEnd();
}

/**
 * Writes a resolved configuration as YAML; parsing and resolving it again gives the same configuration.
 *
 * @example
 * ```ts
 * import { loadConfig } from "./load.ts";
 * import { dumpConfig } from "./yaml.ts";
 * console.log(dumpConfig(await loadConfig("nanogpt_cpu", ["seed=2"])));
 * ```
 * @category Configuration
 */
export function dumpConfig(config: Config): string {
  return dump(config, { lineWidth: 110, noRefs: true });
}
