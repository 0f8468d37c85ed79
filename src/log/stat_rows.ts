// Statistics picked out of a log as it streams by: which records, which of their numbers. It is a file of its own because
// a misspelt name is known only when the whole log has been read, and is then reported with the names the log contains.

import { didYouMean, UserError } from "../base/errors.ts";
import type { LogRecord, StatRecord } from "./records.ts";
import { deeperPattern, globOf } from "../base/glob.ts";

/** Which statistics to take from a log; what is left out takes all.
 * @category Logs */
export interface StatSelection {
  /** A glob over tap names: `*` is one part of the name, `**` any number of them. */
  readonly tap?: string;
  /** `act`, `grad`, `param`, `param_grad`, `opt`, `update` or `metric`. */
  readonly kind?: string;
  /** Names of statistics, in the order in which they are wanted. */
  readonly stats?: readonly string[];
  /** Number of a block. */
  readonly layer?: number;
  /** Numbers of heads. */
  readonly heads?: readonly number[];
  /** First and last step, both included. */
  readonly steps?: readonly [number, number];
  /** Keep every Nth of the steps that are left, beginning with the first. */
  readonly every?: number;
}

/** What is taken from one `stat` record. */
export interface StatRow {
  /** 1-based. */
  readonly step: number;
  /** Of what the tap's tensor is. */
  readonly kind: string;
  /** The tensor. */
  readonly tap: string;
  /** Number of its block, null where it belongs to none. */
  readonly layer: number | null;
  /** Number of the head, null for the whole tensor. */
  readonly head: number | null;
  /** Names and numbers, in the record's order or in that of {@link StatSelection.stats}. */
  readonly statistics: readonly (readonly [name: string, value: number | null])[];
}

const COMMON = ["v", "type", "step", "kind", "tap", "layer", "head"];
/** Names told where none is near. */
const TOLD = 12;

/**
 * The statistics of a record by name, in its order: every number or null after `head`.
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

/** One option of a selection: which of the values it asks for have been met, and which others stood there. */
interface Criterion {
  readonly option: string;
  readonly missing: Set<string>;
  readonly found: Set<string>;
  readonly valueOf: (record: StatRecord) => string;
  /** The value asked for that a record's own meets, or undefined. */
  readonly meets: (value: string) => string | undefined;
}

function criterion(
  option: string,
  wanted: readonly (string | number)[] | undefined,
  valueOf: Criterion["valueOf"],
  matches = (value: string, one: string) => value === one,
): Criterion[] {
  if (wanted === undefined) return [];
  const texts = wanted.map(String);
  const meets = (value: string) => texts.find((one) => matches(value, one));
  return [{ option, missing: new Set(texts), found: new Set(), valueOf, meets }];
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

/** Whether a record meets every criterion; each is told what it saw. */
function passes(criteria: readonly Criterion[], record: StatRecord): boolean {
  return criteria.every(({ missing, found, valueOf, meets }) => {
    const value = valueOf(record);
    found.add(value);
    const met = meets(value);
    if (met === undefined) return false;
    missing.delete(met);
    return true;
  });
}

/** What stands where something was looked for: the nearest name, or the first few. */
function instead(wanted: string, found: ReadonlySet<string>): string {
  const names = [...found];
  const text = /^\d+$/.test(wanted)
    ? ` Found: ${names.slice(0, TOLD).join(", ")}.`
    : didYouMean(wanted, names);
  const more = names.length - TOLD;
  if (more <= 0 || text.startsWith(" Did")) return text;
  return ` Found: ${names.slice(0, TOLD).join(", ")} and ${more} more.`;
}

function complain(
  place: string,
  option: string,
  missing: ReadonlySet<string>,
  found: ReadonlySet<string>,
): void {
  const [wanted] = missing;
  if (wanted === undefined) return;
  const deeper = option === "tap" ? deeperPattern(wanted, [...found]) : undefined;
  const hint = deeper === undefined ? instead(wanted, found) : ` Did you mean "${deeper}"?`;
  throw new UserError(`--${option} ${wanted}: no such record in ${place}.${hint}`);
}

/** Whether a step is one of every so many; steps must come in order. */
function cadence(every: number): (step: number) => boolean {
  let [last, count] = [NaN, -1];
  return (step) => {
    if (step !== last) [last, count] = [step, count + 1];
    return count % every === 0;
  };
}

/** The numbers of a record that are asked for. */
function pick(record: StatRecord, stats: readonly string[] | undefined): StatRow["statistics"] {
  const all = statisticsOf(record);
  if (stats === undefined) return all;
  return stats.flatMap((name) => all.filter(([own]) => own === name));
}

/**
 * The statistics of a log that a selection asks for, one row a record and in the log's order, in memory that grows with
 * the names in the log and not with its length. Records other than `stat` are passed over, and so are records that have
 * none of the statistics asked for.
 *
 * @param records of a log, in its order
 * @param place what the log is called in a message: its path
 * @throws UserError at the log's end where it holds no `stat` record, where a kind, tap, layer, head or statistic asked
 * for stands in none of those that meet the options before it (with the nearest that does), or where none is of the steps
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
  const found = new Set<string>();
  const range = { least: Infinity, greatest: -Infinity, met: false, any: false };
  const kept = cadence(selection.every ?? 1);
  for await (const record of records) {
    if (record.type !== "stat") continue;
    range.any = true;
    if (!passes(criteria, record)) continue;
    const statistics = pick(record, stats);
    for (const [name] of statistics) missing.delete(name);
    if (missing.size > 0) { for (const [name] of statisticsOf(record)) found.add(name); }
    const { step, kind, tap, layer, head } = record;
    if (statistics.length === 0) continue;
    [range.least, range.greatest] = [Math.min(range.least, step), Math.max(range.greatest, step)];
    if (step < first || step > last) continue;
    range.met = true;
    if (kept(step)) yield { step, kind, tap, layer, head, statistics };
  }
  if (!range.any) {
    throw new UserError(
      `${place}: no stat records; a run writes them for what its configuration tracks.`,
    );
  }
  for (const one of criteria) complain(place, one.option, one.missing, one.found);
  complain(place, "stat", missing, found);
  if (!range.met) {
    throw new UserError(
      `--steps ${first}..${Number.isFinite(last) ? last : ""}: no such record in ${place}, found steps ` +
        `${range.least} to ${range.greatest}.`,
    );
  }
}
