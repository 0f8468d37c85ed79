// The interface of a family of charts: it reads the records of a log one by one and draws at the end.

import type { LogRecord } from "../log/records.ts";

/** Draws charts from a streamed log, in memory that does not grow with the length of the log. */
export interface LogCharts {
  /** The types of records that the charts are drawn from; records of other types need not be added. */
  readonly types: readonly string[];
  /** Adds the next record of the log. */
  add(record: LogRecord): void;
  /**
   * Returns SVG documents, keyed by file name; the object is empty if the log has no records for these charts. `name` is
   * used in titles.
   */
  draw(name: string): Readonly<Record<string, string>>;
}
