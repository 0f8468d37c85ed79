// The functions parse and stringify of @std/yaml 1, implemented with js-yaml. Integers have the syntax of YAML 1.2: `1_000`
// and `0b11` are strings and `012` is 12 (std also reads the integers of YAML 1.1). std's options `styles`, `compatMode`,
// `onWarning` and schema "extended" are not supported.
import {
  binaryTag,
  CORE_SCHEMA,
  dump,
  FAILSAFE_SCHEMA,
  loadAll,
  mergeTag,
  omapTag,
  pairsTag,
  setTag,
  timestampTag,
  YAMLException,
} from "../js_yaml.ts";

const SCHEMAS = {
  failsafe: FAILSAFE_SCHEMA,
  json: CORE_SCHEMA,
  core: CORE_SCHEMA,
  default: CORE_SCHEMA.withTags(timestampTag, mergeTag, binaryTag, omapTag, pairsTag, setTag),
};

/** The supported tags: "default" adds timestamps, merge keys, binary data, ordered maps, pairs and sets. */
export type SchemaType = keyof typeof SCHEMAS;

/** Options of `parse`. */
export interface ParseOptions {
  /** The schema, which selects the supported tags. Default: "default". */
  schema?: SchemaType;
  /** Whether the last of several equal keys is used. Default: false; equal keys are an error. */
  allowDuplicateKeys?: boolean;
}

/** Options of `stringify`. */
export interface StringifyOptions {
  /** Spaces per level. Default: 2. */
  indent?: number;
  /** Whether lists are indented below their key. Default: true. */
  arrayIndent?: boolean;
  /** Whether undefined and functions are left out. Default: false; they are an error. */
  skipInvalid?: boolean;
  /** Depth from which lists and mappings use flow style (brackets). Default: -1, never. */
  flowLevel?: number;
  /** Sorts keys by their characters, or by a function. */
  sortKeys?: boolean | ((a: string, b: string) => number);
  /** Maximum line width of strings; -1: no wrapping. Default: 80. */
  lineWidth?: number;
  /** Whether repeated objects are written as aliases. Default: true. */
  useAnchors?: boolean;
  /** Whether flow style omits spaces. */
  condenseFlow?: boolean;
}

/**
 * Converts an error to one with std's message: the reason with its place, then the line, and a caret below the wrong
 * column.
 */
function syntaxError(error: unknown): unknown {
  if (!(error instanceof YAMLException)) return error;
  const { mark, reason } = error;
  if (mark === undefined) return new SyntaxError(reason);
  const line = mark.buffer.split(/\r?\n|\r/)[mark.line]?.replace(/\0$/, "") ?? "";
  const place = `at line ${mark.line + 1}, column ${mark.column + 1}`;
  return new SyntaxError(`${reason} ${place}:\n    ${line}\n    ${" ".repeat(mark.column)}^`);
}

/**
 * Parses a YAML text; the value of an empty text is null.
 *
 * @throws SyntaxError if the text is not YAML, or has more than one document
 *
 * @example
 * ```ts
 * import { parse } from "@std/yaml";
 * parse("id: 1\nname: Alice\n"); // { id: 1, name: "Alice" }
 * ```
 */
export function parse(
  content: string,
  { schema = "default", allowDuplicateKeys = false }: ParseOptions = {},
): unknown {
  let documents: unknown[];
  try {
    documents = loadAll(content, { schema: SCHEMAS[schema], json: allowDuplicateKeys });
  } catch (error) {
    throw syntaxError(error);
  }
  if (documents.length <= 1) return documents[0] ?? null;
  throw new SyntaxError("Found more than 1 document in the stream: expected a single document");
}

/** Throws if a value contains undefined, which js-yaml would leave out. */
function refuseUndefined(value: unknown, above: ReadonlySet<unknown>): void {
  if (value === undefined) throw new TypeError("Cannot stringify undefined");
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || above.has(value)) return;
  const below = new Set([...above, value]);
  for (const entry of Array.isArray(value) ? value : Object.values(value)) refuseUndefined(entry, below);
}

/**
 * Converts a value to YAML.
 *
 * @throws TypeError if the value contains undefined or a function, which YAML cannot represent
 *
 * @example
 * ```ts
 * import { stringify } from "@std/yaml";
 * stringify({ id: 1, name: "Alice" }); // "id: 1\nname: Alice\n"
 * ```
 */
export function stringify(data: unknown, options: StringifyOptions = {}): string {
  const { arrayIndent = true, useAnchors = true, condenseFlow = false, skipInvalid = false, ...same } =
    options;
  if (!skipInvalid) refuseUndefined(data, new Set());
  try {
    return dump(data, {
      ...same,
      skipInvalid,
      seqNoIndent: !arrayIndent,
      noRefs: !useAnchors,
      flowSkipCommaSpace: condenseFlow,
      flowSkipColonSpace: condenseFlow,
      quoteFlowKeys: condenseFlow,
    });
  } catch (error) {
    throw error instanceof YAMLException ? new TypeError(error.reason) : error;
  }
}
