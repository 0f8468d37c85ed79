// The seal of a log: how many records it has, and a SHA-256 of them that equal runs share. It covers each record's fields
// sorted by name, so that a log whose lines were sorted or spaced otherwise by another tool has the same seal.
import { createHash } from "node:crypto";

/** How many records a log has, and which. */
export interface LogSeal {
  /** Records from the first on. */
  readonly records: number;
  /** SHA-256 of them without what a clock says, in hexadecimal. */
  readonly sha256: string;
}

/** Fields that a clock gives: two runs of one configuration and seed differ in them alone. */
const CLOCK = /^"(?:time|ms|tokens_per_s|seconds)(?:_status)?":/;

/** A value with the keys of every object in it sorted. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, own]): [string, unknown] => [key, sorted(own)]);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

/** The fields of a parsed line as they are sealed: `"loss":1.5`, keys within them sorted. */
export function sealedFields(line: object): string[] {
  return Object.entries(line).map(([key, value]) =>
    `${JSON.stringify(key)}:${JSON.stringify(sorted(value))}`
  );
}

/** Takes records one after another; at any time their seal can be asked for. */
export type Sealer = ReturnType<typeof sealer>;

/** A sealer of no records yet. */
export function sealer() {
  const hash = createHash("sha256");
  let records = 0;
  return {
    /** Adds a record by its fields (see `sealedFields`). */
    add(fields: readonly string[]): void {
      hash.update(`${fields.filter((field) => !CLOCK.test(field)).sort().join(",")}\n`);
      records++;
    },
    /** The seal of the records so far. */
    seal: (): LogSeal => ({ records, sha256: hash.copy().digest("hex") }),
  };
}
