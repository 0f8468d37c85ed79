// Reads the results of runs from their logs, and formats tables of results for a terminal or for other tools. Only logs are
// read, so that runs may come from any machine and any folder.

import { dirname, join } from "node:path";
import { fileError, UserError } from "../base/errors.ts";
import { alignedRows } from "../base/table.ts";
import { cellText } from "../base/terminal.ts";
import { csvField } from "./csv.ts";
import { readLog } from "./log_file.ts";
import { formatRecord } from "./records.ts";
import { shortNumber, type StatFormat } from "./stat_formats.ts";
import type { LossAt } from "./summary.ts";
import type { TaskRecord } from "./task_records.ts";

/** The result of a run.
 * @category Logs */
export interface RunResult {
  /** Path of the run's log. */
  readonly log: string;
  /** The run's name. */
  readonly name: string;
  /** Whether the run has ended. */
  readonly finished: boolean;
  /** Whether the run ended because it diverged. */
  readonly diverged: boolean;
  /** Number of trainable parameters. */
  readonly parameters: number;
  /** The last step in the log. */
  readonly steps: number;
  /** The evaluated split; null if nothing was evaluated yet. */
  readonly split: string | null;
  /** The evaluation with the lowest finite loss, in nats per token; null if there was none. */
  readonly best: LossAt | null;
  /** The last evaluation; null if there was none. */
  readonly last: LossAt | null;
  /**
   * The total time of the steps in the log, in seconds. It excludes evaluations, pauses, and steps that had to be repeated
   * after the run was killed.
   */
  readonly seconds: number;
  /**
   * The values of the run's configuration, keyed by dotted path such as `model.dim`; a list of plain values is one JSON
   * text.
   */
  readonly keys: ReadonlyMap<string, string | number | boolean | null>;
}

/** A table of results.
 * @category Logs */
export interface ResultTable {
  /** Names of the columns. */
  readonly columns: readonly string[];
  /** The columns that are keys of configurations. */
  readonly config?: readonly string[];
  /** One row per run; null for a key or number that a run does not have. */
  readonly rows: readonly (readonly (string | number | boolean | null)[])[];
}

type Leaf = string | number | boolean | null;

const isPlain = (value: unknown): value is Leaf => value === null || typeof value !== "object";

function* leavesOf(value: unknown, path: string): Generator<[string, Leaf]> {
  if (isPlain(value)) yield [path, value];
  else if (Array.isArray(value) && value.every(isPlain)) yield [path, JSON.stringify(value)];
  else {for (const [key, entry] of Object.entries(value!)) {
      yield* leavesOf(entry, path ? `${path}.${key}` : key);
    }}
}

/**
 * Reads the result of a run in one pass over its log; returns undefined if the log has no `run` record, because it is then
 * not the log of a run.
 *
 * @param log the path of the run's log
 * @throws {UserError} if the log cannot be read, or if a line before the last is not a record
 *
 * @example
 * ```ts
 * import { runResult } from "../../mod.ts";
 * const result = await runResult("runs/latest/log.ndjson");
 * console.log(result?.name, result?.best?.loss);
 * ```
 * @category Logs
 */
export async function runResult(log: string): Promise<RunResult | undefined> {
  let run: Pick<RunResult, "name" | "parameters" | "keys"> | undefined;
  let [steps, ms, finished, diverged] = [0, 0, false, false];
  let [split, best, last]: [string | null, LossAt | null, LossAt | null] = [null, null, null];
  for await (const record of readLog(log, { types: ["run", "step", "eval", "done"] })) {
    if (record.type === "run") {
      const { name, parameters, config } = record;
      run ??= { name, parameters, keys: new Map(leavesOf(config ?? {}, "")) };
    } else if (record.type === "step") {
      steps = record.step;
      ms += Number.isFinite(record.ms) ? record.ms : 0;
    } else if (record.type === "eval") {
      const { step, loss } = record;
      [split, last] = [record.split, { step, loss }];
      if (loss < (best?.loss ?? Infinity)) best = last;
    } else if (record.type === "done") [finished, diverged] = [true, record.diverged === true];
  }
  return run && { log, ...run, finished, diverged, steps, split, best, last, seconds: ms / 1000 };
}

/**
 * Finds the runs that another run replaced. A run is replaced if it has not ended and the same folder has a run with the
 * same name and configuration that has ended or began later. A run killed before its first checkpoint is restarted in
 * another folder.
 *
 * @example
 * ```ts
 * import { findLogs, replacedRuns, runResult } from "../../mod.ts";
 * const results = await Promise.all((await findLogs("runs")).map(runResult));
 * console.log(replacedRuns(results.filter((result) => result !== undefined)).map(({ log }) => log));
 * ```
 * @category Logs
 */
export function replacedRuns(results: readonly RunResult[]): RunResult[] {
  const keyOf = ({ log, name, keys }: RunResult) => JSON.stringify([dirname(dirname(log)), name, [...keys]]);
  // The name of a run's folder begins with the time. Each group is represented by its last run that has ended or, if none
  // has ended, by its last run.
  const representatives = new Map<string, RunResult>();
  for (const result of results.toSorted((a, b) => dirname(a.log) < dirname(b.log) ? -1 : 1)) {
    const before = representatives.get(keyOf(result));
    if (result.finished || !before?.finished) representatives.set(keyOf(result), result);
  }
  return results.filter((result) => !result.finished && representatives.get(keyOf(result)) !== result);
}

/**
 * Finds all files `log.ndjson` below a folder, sorted by path; links are not followed, so that `latest` counts once. For
 * the path of a log, returns only that log.
 *
 * @param unreadable called with the error of each subfolder that cannot be read. Default: the first such error is thrown
 * @throws {UserError} if the folder does not exist or cannot be read
 *
 * @example
 * ```ts
 * import { findLogs } from "../../mod.ts";
 * console.log(await findLogs("runs"));
 * ```
 * @category Logs
 */
export async function findLogs(folder: string, unreadable?: (error: UserError) => void): Promise<string[]> {
  const paths: string[] = [];
  const below = async (path: string): Promise<string[]> => {
    try {
      return await findLogs(path, unreadable);
    } catch (error) {
      if (!unreadable || !(error instanceof UserError)) throw error;
      unreadable(error);
      return [];
    }
  };
  try {
    if (!(await Deno.stat(folder)).isDirectory) return [folder];
    for await (const { name, isFile, isDirectory } of Deno.readDir(folder)) {
      if (isFile && name === "log.ndjson") paths.push(join(folder, name));
      if (isDirectory) { for (const log of await below(join(folder, name))) paths.push(log); }
    }
  } catch (error) {
    throw fileError(folder, error);
  }
  return paths.sort();
}

/** Keys that a table of results does not compare: they always differ between runs, or do not affect training. */
const NOT_VARIED = ["name", "output.dir"];

/** Returns the keys whose values differ between the configurations of runs, in the order of the configurations. */
function variedKeys(results: readonly RunResult[]): string[] {
  const keys = new Set(results.flatMap((result) => [...result.keys.keys()]));
  return [...keys].filter((key) => {
    const [first, ...others] = results.map((result) => result.keys.get(key));
    return !NOT_VARIED.includes(key) && others.some((value) => !Object.is(value, first));
  });
}

/**
 * Returns a table of runs with these columns: `name`, the keys that differ between their configurations, `parameters`,
 * `steps`, the loss and the step of the best evaluation (`best_loss` in nats per token, `best_step`), the loss of the last
 * evaluation (`last_loss`), the training time in `seconds`, `state` (`done`, `diverged` or `unfinished`) and `log`.
 *
 * @param without columns to omit
 *
 * @example
 * ```ts
 * import { findLogs, formatResults, resultTable, runResult } from "../../mod.ts";
 * const results = await Promise.all((await findLogs("runs")).map(runResult));
 * console.log(formatResults(resultTable(results.filter((result) => result !== undefined)), "table"));
 * ```
 * @category Logs
 */
export function resultTable(results: readonly RunResult[], without: readonly string[] = []): ResultTable {
  const varied = variedKeys(results);
  const columns = [
    "name",
    ...varied,
    ..."parameters steps best_loss best_step last_loss seconds state log".split(" "),
  ];
  const rows = results.map((
    { name, keys, parameters, steps, best, last, seconds, finished, diverged, log },
  ) => [
    name,
    ...varied.map((key) => keys.get(key) ?? null),
    parameters,
    steps,
    best?.loss ?? null,
    best?.step ?? null,
    last?.loss ?? null,
    Number(seconds.toPrecision(4)),
    diverged ? "diverged" : finished ? "done" : "unfinished",
    log,
  ]);
  const kept = (_: unknown, i: number) => !without.includes(columns[i]);
  return { columns: columns.filter(kept), config: varied, rows: rows.map((row) => row.filter(kept)) };
}

function alignedLines({ columns, rows }: ResultTable): string {
  const cell = (value: string | number | boolean | null) =>
    value === null || typeof value === "number" ? shortNumber(value) : cellText(String(value));
  const names = columns.map(cellText);
  const texts = rows.map((row) => row.map(cell));
  const right = columns.map((_, i) => rows.every((row) => row[i] === null || typeof row[i] === "number"));
  return alignedRows([names, ...texts], { left: (i) => !right[i] }).map((line) => `${line}\n`).join("");
}

function csvLines({ columns, rows }: ResultTable): string {
  const field = (value: string | number | boolean | null) => {
    if (typeof value === "number" && !Number.isFinite(value)) return shortNumber(value);
    return csvField(String(value ?? ""));
  };
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\n`).join("");
}

/** Puts a value into an object at a path of names. */
function put(object: Record<string, unknown>, [name, ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) object[name] = value;
  else put((object[name] ??= {}) as Record<string, unknown>, rest, value);
}

function resultRecord(
  { columns, config: keys = [] }: ResultTable,
  row: ResultTable["rows"][number],
): TaskRecord {
  const [fields, config]: Record<string, unknown>[] = [{}, {}];
  for (const [i, name] of columns.entries()) {
    if (!keys.includes(name)) fields[name] = row[i];
    // Missing keys and nulls are omitted, because another run may have keys below them.
    else if (row[i] !== null) put(config, name.split("."), row[i]);
  }
  return { type: "result", ...fields, config } as TaskRecord;
}

/**
 * Formats a table as text: as aligned columns for a terminal, as CSV (RFC 4180; null is empty), or as NDJSON with one
 * record of type `result` per row, which has the configuration keys within `config`. The text ends with a newline.
 *
 * @throws Error for NDJSON with a column that is not a field of such a record
 *
 * @example
 * ```ts
 * import { formatResults } from "../../mod.ts";
 * formatResults({ columns: ["name", "steps"], rows: [["tiny", 6]] }, "csv"); // name,steps\ntiny,6\n
 * ```
 * @category Logs
 */
export function formatResults(table: ResultTable, format: StatFormat): string {
  if (format === "table") return alignedLines(table);
  if (format === "csv") return csvLines(table);
  return table.rows.map((row) => `${formatRecord(resultRecord(table, row))}\n`).join("");
}
