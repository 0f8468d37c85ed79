// The JSON Schema of a configuration file, for editors. A file may say more than one run's configuration: a list where one
// value is wanted is a sweep, ablations stand beside the keys, and one entry stands for a list of one.

import { type JsonSchema, runJsonSchema } from "./schema.ts";
import { NEVER_SWEPT } from "./sweep.ts";

const TEXTS: JsonSchema = { type: "array", items: { type: "string" }, minItems: 1 };

const ABLATIONS: JsonSchema = {
  description: "What --ablate tries, by name: an override such as model.positions=none, or a list of them.",
  type: "object",
  additionalProperties: { anyOf: [{ type: "string" }, TEXTS] },
};

const ANCHORS: JsonSchema = {
  description: "A place for anchors that merge keys (<<) take; not a key of the run.",
};

/** Lists that one entry, or less, stands for as well. */
const SHORT: Readonly<Record<string, readonly JsonSchema[]>> = {
  track: [{ type: "string" }, { type: "object" }, { type: "null" }],
  "track.select": [{ type: "string" }],
  capture: [{ type: "object" }, { type: "null" }],
  "capture.layers": [{ type: "integer" }],
  "capture.heads": [{ type: "integer" }],
  "capture.queries": [{ type: "integer" }],
  "train.freeze": [{ type: "string" }],
};

/** The keys below a schema with what each may be instead of one value. */
function inside(schema: JsonSchema, path: string): JsonSchema {
  const below = (key: string) => path === "" ? key : `${path}.${key}`;
  const { properties, items, additionalProperties } = schema;
  const found = { ...schema };
  if (properties) {
    found.properties = Object.fromEntries(
      Object.entries(properties).map(([key, child]) => [key, fileSchema(child, below(key))]),
    );
  }
  if (typeof items === "object") found.items = inside(items, path);
  if (typeof additionalProperties === "object") {
    found.additionalProperties = fileSchema(additionalProperties, below("*"));
  }
  return found;
}

/** What a key of a file may hold where a run has what `schema` says. */
function fileSchema(schema: JsonSchema, path: string): JsonSchema {
  if (NEVER_SWEPT.includes(path)) return schema;
  const { description, default: start, ...rest } = inside(schema, path);
  // Of a section, entries are not described again: the schema would double with every level.
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
 * The JSON Schema (draft-07) of a configuration file, for editors: types, limits, defaults and descriptions, from
 * the same definition that validates. A list where one value is wanted, a sweep, is allowed wherever it makes runs, and
 * so are `ablations`.
 *
 * @example
 * ```ts
 * import { configJsonSchema } from "../../mod.ts";
 * await Deno.writeTextFile("schema.json", JSON.stringify(configJsonSchema(), null, 2));
 * ```
 * @category Configuration
 */
export function configJsonSchema(): object {
  const schema = inside(runJsonSchema(), "");
  const properties = { ...schema.properties, ablations: ABLATIONS };
  return { ...schema, properties, patternProperties: { "^\\.": ANCHORS } };
}
