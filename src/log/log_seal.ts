// The seal of a log: the number of its records, and a SHA-256 of them that is the same for equal runs. It covers each
// record's fields sorted by name, so that a log reformatted by another tool has the same seal.
import { createHash } from "node:crypto";

/** The number and the hash of a log's records. */
export interface LogSeal {
  /** Number of records. */
  readonly records: number;
  /** SHA-256 of the records without their clock fields, in hexadecimal. */
  readonly sha256: string;
}

/** Fields that depend on a clock: two runs of one configuration and seed differ only in them. */
const CLOCK = /^"(?:time|ms|tokens_per_s|seconds)(?:_status)?":/;

/** A value with the keys of all its objects sorted. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, entry]): [string, unknown] => [key, sorted(entry)]);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

/** The fields of a parsed line in the form that is sealed: `"loss":1.5`, with nested keys sorted. */
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
    /** The seal of the records so far. */
    seal: (): LogSeal => ({ records, sha256: hash.copy().digest("hex") }),
  };
}
