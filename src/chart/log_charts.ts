// What a family of charts is: it takes the records of a log one after another and draws at the end.

import type { LogRecord } from "../log/records.ts";

/** Charts that are drawn from a log as it streams by, in memory that does not grow with it. */
export interface LogCharts {
  /** Types of the records that it looks at; others may be left out. */
  readonly types: readonly string[];
  /** The next record of the log. */
  add(record: LogRecord): void;
  /** SVG documents by file name, none where the log held nothing for them; `name` stands in their titles. */
  draw(name: string): Readonly<Record<string, string>>;
}
