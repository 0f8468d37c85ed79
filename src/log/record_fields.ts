// The fields of each type of record, in the order in which they are written, with their kinds. The order is used to write
// records. The kinds are checked when records are read, so that code that reads a log can rely on the types of the records.

import { describeValue } from "../base/show.ts";
import { count, flag, integer, kind, mapping, number, object, orNull, text, texts } from "./field_kinds.ts";
import type { Kind } from "./field_kinds.ts";

/** The fields of each type of record, in the order of the format. */
export const FIELDS: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  run: {
    name: text,
    time: text,
    heed: text,
    deno: text,
    device: object({ kind: text, adapter: orNull(text), software: flag }),
    seed: integer,
    config: mapping,
    parameters: count,
    tokens_per_step: count,
    memory: object({ parameters: number, optimizer: number, activations: number, total: number }),
    git: orNull(text),
  },
  step: {
    step: count,
    samples: count,
    tokens: count,
    counter: count,
    epoch: number,
    loss: number,
    lr: number,
    grad_norm: number,
    clipped: flag,
    ms: number,
    tokens_per_s: number,
  },
  stat: { step: count, kind: text, tap: text, layer: orNull(count), head: orNull(count) },
  jacobian: {
    step: count,
    layer: count,
    head: count,
    activation: text,
    method: text,
    rows: count,
    rows_zero: count,
    batches: count,
    visible_keys: number,
  },
  eval: { step: count, split: text, loss: number, perplexity: number, accuracy: number, tokens: count },
  sample: {
    step: count,
    prompt: text,
    text,
    temperature: number,
    top_k: orNull(count),
    top_p: orNull(number),
    seed: integer,
  },
  checkpoint: { step: count, path: text, sha256: text, val_loss: orNull(number) },
  warning: { step: orNull(count), code: text, message: text, tap: orNull(text) },
  done: {
    step: count,
    seconds: number,
    best: orNull(object({ step: count, val_loss: number })),
    files: texts,
  },
};

/** Maps record types to the old and the new name of the field that was renamed in version 2. */
const RENAMED: Readonly<Record<string, readonly [string, string]>> = { sample: ["nucleus", "top_p"] };

/** Returns a record with its renamed field under the new name. */
export function renamed(record: Record<string, unknown>): Record<string, unknown> {
  const type = record.type as string;
  if (!Object.hasOwn(RENAMED, type)) return record;
  const [before, now] = RENAMED[type];
  if (!Object.hasOwn(record, before) || Object.hasOwn(record, now)) return record;
  const { [before]: value, ...others } = record;
  return { ...others, [now]: value };
}

const isMeasure = (value: unknown): boolean =>
  value === null || typeof value === "number" || typeof value === "string";
const measure = kind("a number, text or null", isMeasure);

/** Maps record types to the kind of their additional fields; additional fields of other record types are unrestricted. */
const OTHERS: Readonly<Record<string, Kind>> = {
  stat: measure,
  eval: measure,
  jacobian: kind(
    "a number, text, null or a list of numbers",
    (value) => isMeasure(value) || Array.isArray(value) && value.every(orNull(number).holds),
  ),
};

/**
 * Returns the first error in a record's fields, such as `loss: expected a number, found "x"`, or undefined if the fields
 * are valid. Records of unknown types are not checked.
 */
export function fieldFault(record: Readonly<Record<string, unknown>>): string | undefined {
  const type = record.type as string;
  if (!Object.hasOwn(FIELDS, type)) return undefined;
  const fault = (name: string, { expected }: Kind) =>
    `${name}: expected ${expected}, found ${describeValue(record[name])}`;
  const fields = FIELDS[type];
  for (const name in fields) if (!fields[name].holds(record[name])) return fault(name, fields[name]);
  const others = OTHERS[type];
  if (others === undefined) return undefined;
  for (const name in record) {
    if (!Object.hasOwn(fields, name) && name !== "type" && !others.holds(record[name])) {
      return fault(name, others);
    }
  }
  return undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = ({ type }: Fields): Readonly<Record<string, Kind>> =>
  typeof type === "string" && Object.hasOwn(FIELDS, type) ? FIELDS[type] : {};
const ALL_FIELDS = new Set(Object.values(FIELDS).flatMap(Object.keys));

/** Returns whether a field belongs only to record types other than that of `record`. */
const isForeign = (record: Fields, name: string): boolean =>
  Object.hasOwn(FIELDS, record.type as string) && ALL_FIELDS.has(name) &&
  !Object.hasOwn(fieldsOf(record), name);

/** Whether a field may be a non-finite number. */
export function holdsNumber(record: Fields, name: string): boolean {
  const fields = fieldsOf(record);
  return Object.hasOwn(fields, name) ? fields[name].holds(NaN) : !isForeign(record, name);
}

/** Whether a field must be a number. */
export function needsNumber(record: Fields, name: string): boolean {
  const fields = fieldsOf(record);
  return Object.hasOwn(fields, name) && fields[name].holds(NaN) && !fields[name].holds(null);
}

/** Whether a field is the status of another field; heed never writes a null status. */
const isStatus = (record: Fields, name: string): boolean =>
  name.endsWith("_status") && Object.hasOwn(record, name.slice(0, -"_status".length));

/** Returns whether a record was written from a table, which has nulls for fields that heed would omit. */
export function isFilled(record: Fields): boolean {
  for (const name in record) {
    if (record[name] === null && (isForeign(record, name) || isStatus(record, name))) return true;
  }
  return false;
}

/** Returns a record without the nulls that a table added. */
export function withoutFilling(record: Fields): Record<string, unknown> {
  const fields = fieldsOf(record);
  return Object.fromEntries(
    Object.entries(record).filter(([name, value]) => value !== null || Object.hasOwn(fields, name)),
  );
}
