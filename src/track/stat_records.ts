// A row of the table of statistics as the records of its step.
import { maximum } from "../base/extremes.ts";
import { ATTENTION_GRADIENT_STATISTICS } from "../../kernels/attention_statistics/gradient.ts";
import { ATTENTION_STATISTICS } from "../../kernels/attention_statistics/op.ts";
import { STATISTICS } from "../../kernels/statistics/op.ts";
import type { Values } from "../graph/tensor.ts";
import type { StatRecord } from "../log/records.ts";
import type { Kind } from "./selectors.ts";
import { layerOf, type StatColumn, type StatisticsTable } from "./step_statistics.ts";

type Numbers = Record<string, number>;

/** The statistics of one head by name. */
function headStatistics(row: Values, at: number, head: number, names: readonly string[]): Numbers {
  const first = at + head * names.length;
  return Object.fromEntries(names.map((name, i) => [name, row[first + i]]));
}

/** Attention of a head above this to the first key makes it a sink. */
const SINK = 0.3;

/** All heads together: means over those that have a number, the largest score, what is not finite in all, the share of sinks. */
function overHeads(heads: readonly Numbers[]): Numbers {
  const there = (name: string) => heads.map((head) => head[name]).filter((x) => !Number.isNaN(x));
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  const together = Object.fromEntries(Object.keys(heads[0]).map((name) => [name, mean(there(name))]));
  const largest = there("score_max");
  return {
    ...together,
    score_max: largest.length > 0 ? maximum(largest) : NaN,
    nonfinite: heads.reduce((sum, { nonfinite }) => sum + nonfinite, 0),
    sink_heads: mean(there("sink").map((sink) => Number(sink > SINK))),
  };
}

/** The numbers of a gradient or of the scores, which stand beside others, under the names that every tensor's have. */
function ofMatrix(found: Numbers, prefix: string): Numbers {
  const own = Object.entries(found).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value]));
}

function attentionRecords(
  row: Values,
  step: number,
  { kind, tap, at, size, attention }: StatColumn,
): StatRecord[] {
  const names = kind === "grad" ? ATTENTION_GRADIENT_STATISTICS : ATTENTION_STATISTICS;
  const heads = Array.from({ length: size }, (_, head) => headStatistics(row, at, head, names));
  const common = { type: "stat", step, kind, tap, layer: layerOf(tap) } as const;
  const scores = tap.endsWith(".scores");
  if (kind === "grad" || scores) {
    const prefix = kind === "act" ? "score_" : scores ? "scores_" : "pattern_";
    return heads.map((found, head): StatRecord => ({ ...common, head, ...ofMatrix(found, prefix) }));
  }
  for (const found of heads) {
    delete found.score_nonfinite;
    if (!attention!.bernoulli) delete found.bernoulli_entropy;
    if (!attention!.extra) delete found.extra_mass;
  }
  return [
    ...heads.map((found, head): StatRecord => ({ ...common, head, ...found })),
    { ...common, head: null, ...overHeads(heads) },
  ];
}

function tensorRecord(row: Values, step: number, column: StatColumn): StatRecord {
  const { kind, tap, at, size, head = null, parameter } = column;
  const found = Object.fromEntries(STATISTICS.map((name, i): [string, number] => [name, row[at + i]]));
  if (found.nonfinite === size) {
    // There is nothing to summarise.
    for (const name of STATISTICS) if (name !== "zeros" && name !== "nonfinite") found[name] = NaN;
  }
  if (parameter !== undefined) {
    const of = (name: typeof STATISTICS[number]) => row[parameter + STATISTICS.indexOf(name)];
    // Of a parameter without a finite entry there is no norm to compare with.
    found.update_ratio = of("nonfinite") === size ? NaN : found.l2 / of("l2");
  }
  return { type: "stat", step, kind, tap, layer: layerOf(tap), head, ...found };
}

/** Kinds that several passes of a step have one each of. */
const OF_A_PASS: readonly string[] = ["act", "grad"] satisfies Kind[];

/**
 * The records of one step from its row. Where a step has several passes, what is known of the last alone says so:
 * `"pass": "last"` after `head`.
 */
export function statRecords(
  { columns, passes = 1 }: StatisticsTable,
  row: Values,
  step: number,
): StatRecord[] {
  const records = columns.flatMap((column) => {
    return column.attention ? attentionRecords(row, step, column) : [tensorRecord(row, step, column)];
  });
  if (passes === 1) return records;
  return records.map((record) => {
    if (!OF_A_PASS.includes(record.kind)) return record;
    const { type, step, kind, tap, layer, head, ...statistics } = record;
    return { type, step, kind, tap, layer, head, pass: "last", ...statistics };
  });
}
