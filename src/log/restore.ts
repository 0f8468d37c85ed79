// The inverse of the status fields: nulls become the numbers they stood for. Other tools write a log's lines anew with sorted
// keys, or with all columns of a table, so nothing here depends on the order of keys where a field's name says enough.

import { holdsNumber, needsNumber } from "./record_fields.ts";

type Fields = Record<string, unknown>;

const NON_FINITE: ReadonlyMap<unknown, number> = new Map([["nan", NaN], ["inf", Infinity], [
  "-inf",
  -Infinity,
]]);

/** Whether a status says something of a value: of a null, or of nulls in a list. */
function says(status: unknown, value: unknown): boolean {
  if (value === null) return NON_FINITE.has(status);
  if (!Array.isArray(value)) return false;
  if (!Array.isArray(status)) return NON_FINITE.has(status) && value.includes(null);
  return status.length === value.length && status.some((one, i) => says(one, value[i]));
}

/** A value with the numbers that its status names; the one status of a list (version 1) is that of all its nulls. */
function numbered(value: unknown, status: unknown): unknown {
  if (value === null) return NON_FINITE.get(status) ?? null;
  if (!Array.isArray(value)) return value;
  return value.map((entry, i) => numbered(entry, Array.isArray(status) ? status[i] : status));
}

/** Whether a line was written by heed, or has its order. */
const inOrder = (fields: Fields): boolean => {
  const [first, second] = Object.keys(fields);
  return first === "v" && second === "type";
};

/**
 * The field that `status` belongs to in an object of a version 1 record, which does not name it: the one before it where
 * the order is heed's, otherwise the one null field that can be a number and has no status of its own. Undefined where
 * there are several: the null then stays, and its status beside it.
 */
function unnamedOf(fields: Fields, ordered: boolean): string | undefined {
  if (!Object.hasOwn(fields, "status")) return undefined;
  const keys = Object.keys(fields);
  const open = keys.filter((key) =>
    says(fields.status, fields[key]) && !says(fields[`${key}_status`], fields[key])
  );
  const before = keys[keys.indexOf("status") - 1];
  if (ordered) return open.find((key) => key === before);
  const own = open.filter((key) => holdsNumber(fields, key));
  const needed = own.filter((key) => needsNumber(fields, key));
  const [one, ...others] = needed.length > 0 ? needed : own;
  return others.length === 0 ? one : undefined;
}

function restoredWithin(value: unknown, unnamed: "none" | "ordered" | "any"): unknown {
  if (Array.isArray(value)) return value.map((entry) => restoredWithin(entry, unnamed));
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Fields;
  const named = unnamed === "none" ? undefined : unnamedOf(fields, unnamed === "ordered");
  const taken = new Set<string>();
  // No object yet: in one, `__proto__` is no key like others.
  const restored = new Map<string, unknown>();
  for (const [key, entry] of Object.entries(fields)) {
    const status = key === named ? "status" : `${key}_status`;
    const inner = restoredWithin(entry, unnamed);
    if (Object.hasOwn(fields, status) && says(fields[status], entry)) {
      taken.add(status);
      restored.set(key, numbered(inner, fields[status]));
    } else restored.set(key, inner);
  }
  for (const status of taken) restored.delete(status);
  return Object.fromEntries(restored);
}

/**
 * A record as it stands on its line with the numbers that JSON cannot hold; their status fields go.
 *
 * @param record of version 1 or 2
 * @param reordered whether the order of its keys says nothing, although it begins as heed's do
 *
 * @example
 * ```ts
 * import { restored } from "./restore.ts";
 * restored({ v: 2, type: "own", loss_status: "nan", loss: null }); // { v: 2, type: "own", loss: NaN }
 * ```
 */
export function restored(record: Fields, reordered = false): Fields {
  const unnamed = record.v !== 1 ? "none" : inOrder(record) && !reordered ? "ordered" : "any";
  return restoredWithin(record, unnamed) as Fields;
}
