// The JSON Schema of a configuration file, for editors. A file allows more than the configuration of one run: a list instead
// of a single value is a sweep, `ablations` is an extra key, and a single entry is short for a list of one.

import { type JsonSchema, runJsonSchema } from "./schema.ts";
import { NEVER_SWEPT } from "./sweep.ts";

const TEXTS: JsonSchema = { type: "array", items: { type: "string" }, minItems: 1 };

const ABLATIONS: JsonSchema = {
  description:
    "Ablations for --ablate: maps names to an override such as model.positions=none, or to a list of them.",
  type: "object",
  additionalProperties: { anyOf: [{ type: "string" }, TEXTS] },
};

const ANCHORS: JsonSchema = {
  description: "Holds anchors for merge keys (<<); not a key of the run.",
};

/** The short forms of keys that take a list: a single entry, or null for an empty list. */
const SHORT: Readonly<Record<string, readonly JsonSchema[]>> = {
  track: [{ type: "string" }, { type: "object" }, { type: "null" }],
  "track.select": [{ type: "string" }],
  capture: [{ type: "object" }, { type: "null" }],
  "capture.layers": [{ type: "integer" }],
  "capture.heads": [{ type: "integer" }],
  "capture.queries": [{ type: "integer" }],
  "train.freeze": [{ type: "string" }],
};

/**
 * Returns the schema of a file, or of a part of a file, for the schema of one run. In a file, keys also accept sweeps, and
 * some keys accept a short form.
 */
function withSweeps(schema: JsonSchema, path: string): JsonSchema {
  const below = (key: string) => path === "" ? key : `${path}.${key}`;
  const { properties, items, additionalProperties } = schema;
  const copy = { ...schema };
  if (properties) {
    copy.properties = Object.fromEntries(
      Object.entries(properties).map(([key, child]) => [key, fileSchema(child, below(key))]),
    );
  }
  if (typeof items === "object") copy.items = withSweeps(items, path);
  if (typeof additionalProperties === "object") {
    copy.additionalProperties = fileSchema(additionalProperties, below("*"));
  }
  return copy;
}

/** Returns the schema of a key in a file for the key's schema in one run. */
function fileSchema(schema: JsonSchema, path: string): JsonSchema {
  if (NEVER_SWEPT.includes(path)) return schema;
  const { description, default: start, ...rest } = withSweeps(schema, path);
  // The entries of a section are not described again, because the size of the schema would double with every level.
  const swept: JsonSchema = rest.properties ? { type: "object" } : rest;
  const short = (SHORT[path] ?? []).map((one) => one.type === "object" ? rest.items as JsonSchema : one);
  const sweep: JsonSchema = {
    type: "array",
    items: short.length ? { anyOf: [swept, ...short] } : swept,
    minItems: 1,
  };
  return {
    ...(description === undefined ? {} : { description }),
    ...(start === undefined ? {} : { default: start }),
    anyOf: [rest, ...short, sweep],
  };
}

/**
 * Returns the JSON Schema (draft-07) of a configuration file, for editors. It has types, limits, defaults and descriptions,
 * and is derived from the same definition as the validator. It allows `ablations`, and sweeps (a list instead of a single
 * value) of every key except the keys in `NEVER_SWEPT`.
 *
 * @example
 * ```ts
 * import { configJsonSchema } from "../../mod.ts";
 * await Deno.writeTextFile("schema.json", JSON.stringify(configJsonSchema(), null, 2));
 * ```
 * @category Configuration
 */
export function configJsonSchema(): object {
  const schema = withSweeps(runJsonSchema(), "");
  const properties = { ...schema.properties, ablations: ABLATIONS };
  return { ...schema, properties, patternProperties: { "^\\.": ANCHORS } };
}
