// Selects statistics from a log while streaming it. A misspelt name is detected only at the end of the log, and is then
// reported with the names that the log contains.

import { didYouMean, UserError } from "../base/errors.ts";
import type { LogRecord, StatRecord } from "./records.ts";
import { deeperPattern, globOf } from "../base/glob.ts";

/** Which statistics to select from a log. Default: all.
 * @category Logs */
export interface StatSelection {
  /** A glob over tap names: `*` is one part of the name, `**` any number of them. */
  readonly tap?: string;
  /** `act`, `grad`, `param`, `param_grad`, `opt`, `update` or `metric`. */
  readonly kind?: string;
  /** Names of statistics, in the order of the output. */
  readonly stats?: readonly string[];
  /** Index of a block, from 0. */
  readonly layer?: number;
  /** Indices of heads, from 0. */
  readonly heads?: readonly number[];
  /** First and last step, both included. */
  readonly steps?: readonly [number, number];
  /** If this is N, only every Nth of the selected steps is kept, beginning with the first. */
  readonly every?: number;
}

/** The selected statistics of one `stat` record. */
export interface StatRow {
  /** Step of the record, from 1. */
  readonly step: number;
  /** What was tracked of the tensor, such as `act` or `grad`. */
  readonly kind: string;
  /** Name of the tap or of the parameter. */
  readonly tap: string;
  /** Index of its block, null if it belongs to none. */
  readonly layer: number | null;
  /** Index of the head, null for all heads together. */
  readonly head: number | null;
  /** Names and values of the statistics, in the order of the record or of {@link StatSelection.stats}. */
  readonly statistics: readonly (readonly [name: string, value: number | null])[];
}

const COMMON = ["v", "type", "step", "kind", "tap", "layer", "head"];
/** Maximum number of names in a message. */
const MAX_SUGGESTIONS = 12;

/**
 * Returns the names and values of a record's statistics in the order of the record. They are every field after `head` that
 * is a number or null.
 *
 * @example
 * ```ts
 * import { statisticsOf } from "./mod.ts";
 * statisticsOf({ type: "stat", step: 1, kind: "act", tap: "embed", layer: null, head: null, mean: 0.5 });
 * // [["mean", 0.5]]
 * ```
 */
export function statisticsOf(record: StatRecord): [name: string, value: number | null][] {
  return Object.entries(record).filter((entry): entry is [string, number | null] =>
    !COMMON.includes(entry[0]) && (entry[1] === null || typeof entry[1] === "number")
  );
}

/** One option of a selection: which requested values are still missing, and which values the log has. */
interface Criterion {
  readonly option: string;
  readonly missing: Set<string>;
  readonly seen: Set<string>;
  readonly valueOf: (record: StatRecord) => string;
  /** Returns the requested value that matches a record's value, or undefined. */
  readonly meets: (value: string) => string | undefined;
}

function criterion(
  option: string,
  requested: readonly (string | number)[] | undefined,
  valueOf: Criterion["valueOf"],
  matches = (value: string, one: string) => value === one,
): Criterion[] {
  if (requested === undefined) return [];
  const texts = requested.map(String);
  const meets = (value: string) => texts.find((one) => matches(value, one));
  return [{ option, missing: new Set(texts), seen: new Set(), valueOf, meets }];
}

function criteriaOf({ kind, tap, layer, heads }: StatSelection): Criterion[] {
  const matches = tap === undefined ? undefined : globOf(tap);
  return [
    ...criterion("kind", kind === undefined ? undefined : [kind], (record) => record.kind),
    ...criterion(
      "tap",
      tap === undefined ? undefined : [tap],
      (record) => record.tap,
      (name) => matches!(name),
    ),
    ...criterion("layer", layer === undefined ? undefined : [layer], (record) => `${record.layer ?? "none"}`),
    ...criterion("head", heads, (record) => `${record.head ?? "none"}`),
  ];
}

/** Returns whether a record meets every criterion, and updates the criteria. */
function passes(criteria: readonly Criterion[], record: StatRecord): boolean {
  return criteria.every(({ missing, seen, valueOf, meets }) => {
    const value = valueOf(record);
    seen.add(value);
    const met = meets(value);
    if (met === undefined) return false;
    missing.delete(met);
    return true;
  });
}

/** Suggests the nearest of the seen names, or lists the first few. */
function suggestionText(name: string, seen: ReadonlySet<string>): string {
  const names = [...seen];
  const text = /^\d+$/.test(name)
    ? ` Found: ${names.slice(0, MAX_SUGGESTIONS).join(", ")}.`
    : didYouMean(name, names);
  const more = names.length - MAX_SUGGESTIONS;
  if (more <= 0 || text.startsWith(" Did")) return text;
  return ` Found: ${names.slice(0, MAX_SUGGESTIONS).join(", ")} and ${more} more.`;
}

function throwMissing(
  place: string,
  option: string,
  missing: ReadonlySet<string>,
  seen: ReadonlySet<string>,
): void {
  const [name] = missing;
  if (name === undefined) return;
  const deeper = option === "tap" ? deeperPattern(name, [...seen]) : undefined;
  const hint = deeper === undefined ? suggestionText(name, seen) : ` Did you mean "${deeper}"?`;
  throw new UserError(`--${option} ${name}: no such record in ${place}.${hint}`);
}

/** Returns a function that selects every Nth distinct step; the steps must be passed in order. */
function cadence(every: number): (step: number) => boolean {
  let [last, count] = [NaN, -1];
  return (step) => {
    if (step !== last) [last, count] = [step, count + 1];
    return count % every === 0;
  };
}

/** Returns the requested statistics of a record, in the requested order. */
function pick(record: StatRecord, stats: readonly string[] | undefined): StatRow["statistics"] {
  const all = statisticsOf(record);
  if (stats === undefined) return all;
  return stats.flatMap((name) => all.filter(([key]) => key === name));
}

/**
 * Yields the selected statistics of a log, one row per record in the log's order. Memory grows with the number of names, not
 * with the length of the log. Other types of records are skipped, as are records without any requested statistic.
 *
 * @param records the records of a log, in order
 * @param place the path of the log, for messages
 * @throws UserError at the end of the log if it has no `stat` record, if no step is in the range, or if a requested kind,
 * tap, layer, head or statistic is in none of the records that match the earlier options (the message has the nearest name)
 *
 * @example
 * ```ts
 * import { type LogRecord, statRows } from "../../mod.ts";
 * async function* records(): AsyncGenerator<LogRecord> {
 *   yield { type: "stat", step: 1, kind: "act", tap: "embed", layer: null, head: null, mean: 0.5, max: 2 };
 * }
 * for await (const row of statRows(records(), { tap: "emb*", stats: ["max"] })) {
 *   console.log(row.step, row.statistics); // 1 [["max", 2]]
 * }
 * ```
 * @category Logs
 */
export async function* statRows(
  records: AsyncIterable<LogRecord>,
  selection: StatSelection = {},
  place = "the log",
): AsyncGenerator<StatRow> {
  const { stats, steps: [first, last] = [-Infinity, Infinity] } = selection;
  const criteria = criteriaOf(selection);
  const missing = new Set(stats);
  const seen = new Set<string>();
  const range = { least: Infinity, greatest: -Infinity, met: false, any: false };
  const kept = cadence(selection.every ?? 1);
  for await (const record of records) {
    if (record.type !== "stat") continue;
    range.any = true;
    if (!passes(criteria, record)) continue;
    const statistics = pick(record, stats);
    for (const [name] of statistics) missing.delete(name);
    if (missing.size > 0) { for (const [name] of statisticsOf(record)) seen.add(name); }
    const { step, kind, tap, layer, head } = record;
    if (statistics.length === 0) continue;
    [range.least, range.greatest] = [Math.min(range.least, step), Math.max(range.greatest, step)];
    if (step < first || step > last) continue;
    range.met = true;
    if (kept(step)) yield { step, kind, tap, layer, head, statistics };
  }
  if (!range.any) {
    throw new UserError(
      `${place}: no stat records; a run writes them for the tensors that its configuration tracks.`,
    );
  }
  for (const one of criteria) throwMissing(place, one.option, one.missing, one.seen);
  throwMissing(place, "stat", missing, seen);
  if (!range.met) {
    throw new UserError(
      `--steps ${first}..${Number.isFinite(last) ? last : ""}: no such record in ${place}, found steps ` +
        `${range.least} to ${range.greatest}.`,
    );
  }
}
