// The interface of a family of charts: it reads the records of a log one by one and draws at the end.

import type { LogRecord } from "../log/records.ts";

/** Charts from a streamed log, in memory independent of its length. */
export interface LogCharts {
  /** The types of records that it reads; others may be omitted. */
  readonly types: readonly string[];
  /** Adds the next record of the log. */
  add(record: LogRecord): void;
  /** Returns SVG documents, keyed by file name; none if the log has no records for them. `name` is used in titles. */
  draw(name: string): Readonly<Record<string, string>>;
}
