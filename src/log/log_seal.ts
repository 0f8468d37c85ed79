// The seal of a log is the number of its records and a SHA-256 of the records, which is the same for equal runs. The hash
// covers the fields of each record sorted by name, so that a log reformatted by another tool has the same seal.
import { createHash } from "node:crypto";

/** The number and the hash of a log's records. */
export interface LogSeal {
  /** Number of records. */
  readonly records: number;
  /** SHA-256 of the records without their clock fields, in hexadecimal. */
  readonly sha256: string;
}

/** Matches the fields that depend on a clock. Two runs with the same configuration and seed differ only in these fields. */
const CLOCK = /^"(?:time|ms|tokens_per_s|seconds)(?:_status)?":/;

/** Returns a copy of a value in which the keys of all objects are sorted. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, entry]): [string, unknown] => [key, sorted(entry)]);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * Returns the fields of a parsed line in the form in which they are sealed, such as `"loss":1.5`, with the keys of nested
 * objects sorted.
 */
export function sealedFields(line: object): string[] {
  return Object.entries(line).map(([key, value]) =>
    `${JSON.stringify(key)}:${JSON.stringify(sorted(value))}`
  );
}

/** Accumulates records; the seal is available at any time. */
export type Sealer = ReturnType<typeof sealer>;

/** Creates a sealer without records. */
export function sealer() {
  const hash = createHash("sha256");
  let records = 0;
  return {
    /** Adds a record, given as its fields (see `sealedFields`). */
    add(fields: readonly string[]): void {
      hash.update(`${fields.filter((field) => !CLOCK.test(field)).sort().join(",")}\n`);
      records++;
    },
    /** Returns the seal of the records so far. */
    seal: (): LogSeal => ({ records, sha256: hash.copy().digest("hex") }),
  };
}
