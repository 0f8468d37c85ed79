/**
 * Logs: writing, sealing, reading, selecting and summarising the NDJSON records of a run.
 *
 * @example
 * ```ts
 * import { readLog } from "./mod.ts";
 * for await (const record of readLog("runs/latest/log.ndjson", { types: ["step"] })) console.log(record);
 * ```
 *
 * @module
 */

export * from "./log_file.ts";
export type { LogSeal } from "./log_seal.ts";
export * from "./records.ts";
export * from "./results.ts";
export { type LogStart, openRunLog, type RunLog } from "./run_log.ts";
export * from "./stat_formats.ts";
export * from "./stat_rows.ts";
export * from "./summary.ts";
export { TASK_FIELDS, type TaskRecord } from "./task_records.ts";
