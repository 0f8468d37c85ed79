// Restores non-finite numbers from status fields. Other tools rewrite a log's lines with sorted keys, or with all columns of a
// table, so nothing here depends on the order of keys unless the name of a field is ambiguous.

import { holdsNumber, needsNumber } from "./record_fields.ts";

type Fields = Record<string, unknown>;

const NON_FINITE: ReadonlyMap<unknown, number> = new Map([["nan", NaN], ["inf", Infinity], [
  "-inf",
  -Infinity,
]]);

/** Returns whether a status applies to a value, which is null or a list that contains nulls. */
function appliesTo(status: unknown, value: unknown): boolean {
  if (value === null) return NON_FINITE.has(status);
  if (!Array.isArray(value)) return false;
  if (!Array.isArray(status)) return NON_FINITE.has(status) && value.includes(null);
  return status.length === value.length && status.some((one, i) => appliesTo(one, value[i]));
}

/**
 * Returns a value in which nulls are replaced by the numbers that the status names. In version 1 a list has a single
 * status, which applies to all nulls in the list.
 */
function numbered(value: unknown, status: unknown): unknown {
  if (value === null) return NON_FINITE.get(status) ?? null;
  if (!Array.isArray(value)) return value;
  return value.map((entry, i) => numbered(entry, Array.isArray(status) ? status[i] : status));
}

/** Returns whether the keys of a line begin in the order in which heed writes them. */
const inOrder = (fields: Fields): boolean => {
  const [first, second] = Object.keys(fields);
  return first === "v" && second === "type";
};

/**
 * Returns the field to which a `status` without a field name belongs in a version 1 record. If the keys have heed's order,
 * it is the field before `status`, otherwise the only null field that can be a number and has no status of its own. Returns
 * undefined if there are several such fields; the nulls and the status then remain.
 */
function unnamedOf(fields: Fields, ordered: boolean): string | undefined {
  if (!Object.hasOwn(fields, "status")) return undefined;
  const keys = Object.keys(fields);
  const open = keys.filter((key) =>
    appliesTo(fields.status, fields[key]) && !appliesTo(fields[`${key}_status`], fields[key])
  );
  const before = keys[keys.indexOf("status") - 1];
  if (ordered) return open.find((key) => key === before);
  const numbers = open.filter((key) => holdsNumber(fields, key));
  const needed = numbers.filter((key) => needsNumber(fields, key));
  const [one, ...others] = needed.length > 0 ? needed : numbers;
  return others.length === 0 ? one : undefined;
}

function restoredWithin(value: unknown, unnamed: "none" | "ordered" | "any"): unknown {
  if (Array.isArray(value)) return value.map((entry) => restoredWithin(entry, unnamed));
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Fields;
  const named = unnamed === "none" ? undefined : unnamedOf(fields, unnamed === "ordered");
  const taken = new Set<string>();
  // A map, because `__proto__` is special in an object.
  const restored = new Map<string, unknown>();
  for (const [key, entry] of Object.entries(fields)) {
    const status = key === named ? "status" : `${key}_status`;
    const inner = restoredWithin(entry, unnamed);
    if (Object.hasOwn(fields, status) && appliesTo(fields[status], entry)) {
      taken.add(status);
      restored.set(key, numbered(inner, fields[status]));
    } else restored.set(key, inner);
  }
  for (const status of taken) restored.delete(status);
  return Object.fromEntries(restored);
}

/**
 * Restores the numbers of a parsed record that JSON cannot represent, and removes their status fields.
 *
 * @param record a record of version 1 or 2
 * @param reordered whether to ignore the order of the record's keys, even if they begin in heed's order. Default: false
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
