// What each type of record holds: the fields in the order in which they are written, and what each may be. Writing takes
// the order from here, reading checks against it, so that whoever reads a log may rely on the types of its records.

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

/** Fields that logs called otherwise until version 2, by type: the name then and now. */
const RENAMED: Readonly<Record<string, readonly [string, string]>> = { sample: ["nucleus", "top_p"] };

/** A record with the names of its fields as they are now. */
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

/** What the fields after a type's own may hold, where that is not left open. */
const OTHERS: Readonly<Record<string, Kind>> = {
  stat: measure,
  eval: measure,
  jacobian: kind(
    "a number, text, null or a list of numbers",
    (value) => isMeasure(value) || Array.isArray(value) && value.every(orNull(number).holds),
  ),
};

/**
 * What is wrong with the fields of a record: `loss: expected a number, found "x"`; undefined where they are what the
 * format says. Records of types that heed does not write are left as they are.
 */
export function fieldFault(record: Readonly<Record<string, unknown>>): string | undefined {
  const type = record.type as string;
  if (!Object.hasOwn(FIELDS, type)) return undefined;
  const told = (name: string, { expected }: Kind) =>
    `${name}: expected ${expected}, found ${describeValue(record[name])}`;
  const own = FIELDS[type];
  for (const name in own) if (!own[name].holds(record[name])) return told(name, own[name]);
  const others = OTHERS[type];
  if (others === undefined) return undefined;
  for (const name in record) {
    if (!Object.hasOwn(own, name) && name !== "type" && !others.holds(record[name])) {
      return told(name, others);
    }
  }
  return undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = ({ type }: Fields): Readonly<Record<string, Kind>> =>
  typeof type === "string" && Object.hasOwn(FIELDS, type) ? FIELDS[type] : {};
const ALL_FIELDS = new Set(Object.values(FIELDS).flatMap(Object.keys));

/** Whether a field is one of other types of records, which this one does not have. */
const isForeign = (record: Fields, name: string): boolean =>
  Object.hasOwn(FIELDS, record.type as string) && ALL_FIELDS.has(name) &&
  !Object.hasOwn(fieldsOf(record), name);

/** Whether a field of a record may be a number that is not finite. */
export function holdsNumber(record: Fields, name: string): boolean {
  const own = fieldsOf(record);
  return Object.hasOwn(own, name) ? own[name].holds(NaN) : !isForeign(record, name);
}

/** Whether a field of a record is always a number. */
export function needsNumber(record: Fields, name: string): boolean {
  const own = fieldsOf(record);
  return Object.hasOwn(own, name) && own[name].holds(NaN) && !own[name].holds(null);
}

/** Whether a field is the status of another, which is never null where heed writes it. */
const isStatus = (record: Fields, name: string): boolean =>
  name.endsWith("_status") && Object.hasOwn(record, name.slice(0, -"_status".length));

/** Whether a table wrote a record: it has null for a column of the table that heed would have left out. */
export function isFilled(record: Fields): boolean {
  for (const name in record) {
    if (record[name] === null && (isForeign(record, name) || isStatus(record, name))) return true;
  }
  return false;
}

/** A record without the nulls that a table put where it had nothing. */
export function withoutFilling(record: Fields): Record<string, unknown> {
  const own = fieldsOf(record);
  return Object.fromEntries(
    Object.entries(record).filter(([name, value]) => value !== null || Object.hasOwn(own, name)),
  );
}
