// Converts a row of the statistics table into the records of its step.
import { maximum } from "../base/extremes.ts";
import { ATTENTION_GRADIENT_TABLE } from "../../kernels/attention_statistics/gradient.ts";
import { ATTENTION_TABLE } from "../../kernels/attention_statistics/table.ts";
import type { AttentionStatistic } from "../../kernels/attention_statistics/table.ts";
import { STATISTICS, TENSOR_TABLE } from "../../kernels/statistics/table.ts";
import type { Values } from "../graph/tensor.ts";
import type { StatRecord } from "../log/records.ts";
import { layerOf } from "../nn/hooks.ts";
import type { Kind } from "./selectors.ts";
import type { StatColumn, StatisticsTable } from "./step_statistics.ts";

type AttentionColumns = NonNullable<StatColumn["attention"]>;

/** A field of a record: its name, its column, and how the values of the heads are combined (see `AttentionStatistic`). */
interface Field extends Pick<AttentionStatistic, "heads" | "share"> {
  readonly field: string;
  readonly column: number;
}

/** Returns the number of columns per head in the statistics of an attention matrix, and the fields of its records. */
function fieldsOf(kind: Kind, { matrix, has }: AttentionColumns): { width: number; fields: Field[] } {
  const table = kind === "grad" ? ATTENTION_GRADIENT_TABLE : ATTENTION_TABLE;
  const columns = Object.entries(table).filter(([, { only }]) => only !== "repeated");
  const fields = columns.flatMap(([name, { log = { pattern: name }, only, heads, share }], column) => {
    const field = log[matrix];
    return field === undefined || only && !has.includes(only) ? [] : [{ field, column, heads, share }];
  });
  return { width: columns.length, fields };
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0);
const meanOf = (values: readonly number[]): number => sumOf(values) / values.length;

/** Functions that combine the values of single heads into one value for all heads. */
const COMBINE = {
  mean: meanOf,
  sum: sumOf,
  max: (values: readonly number[]) => values.length > 0 ? maximum(values) : NaN,
};

function attentionRecords(
  row: Values,
  step: number,
  { kind, tap, at, size }: StatColumn,
  attention: AttentionColumns,
): StatRecord[] {
  const { width, fields } = fieldsOf(kind, attention);
  const heads = Array.from({ length: size }, (_, head) => head);
  const valueOf = (head: number, { column }: Field) => row[at + head * width + column];
  const recordOf = (head: number | null, value: (field: Field) => number): StatRecord => {
    const statistics = fields.map((field): [string, number] => [field.field, value(field)]);
    return { type: "stat", step, kind, tap, layer: layerOf(tap), head, ...Object.fromEntries(statistics) };
  };
  const records = heads.map((head) => recordOf(head, (field) => valueOf(head, field)));
  if (kind === "grad" || attention.matrix === "scores") return records;
  const defined = (field: Field) => heads.map((head) => valueOf(head, field)).filter((x) => !Number.isNaN(x));
  const combined = recordOf(null, (field) => COMBINE[field.heads ?? "mean"](defined(field)));
  for (const field of fields) {
    const { share } = field;
    if (share) combined[share.field] = meanOf(defined(field).map((x) => Number(x > share.above)));
  }
  return [...records, combined];
}

function tensorRecord(row: Values, step: number, column: StatColumn): StatRecord {
  const { kind, tap, at, size, head = null, parameter } = column;
  const statistics = Object.fromEntries(STATISTICS.map((name, i): [string, number] => [name, row[at + i]]));
  if (statistics.nonfinite === size) {
    // No entry is finite: only statistics over all entries are defined.
    for (const name of STATISTICS) if (!TENSOR_TABLE[name].ofAll) statistics[name] = NaN;
  }
  if (parameter !== undefined) {
    const of = (name: string) => row[parameter + STATISTICS.indexOf(name)];
    // A parameter without a finite entry has no norm to compare with.
    statistics.update_ratio = of("nonfinite") === size ? NaN : statistics.l2 / of("l2");
  }
  return { type: "stat", step, kind, tap, layer: layerOf(tap), head, ...statistics };
}

/** Kinds that are computed anew in each forward and backward pass of a step. */
const PER_PASS: readonly string[] = ["act", "grad"] satisfies Kind[];

/**
 * Returns the records of one step, given that step's row of the table. If a step has several passes, the records that describe
 * only the last pass have the field `"pass": "last"` after `head`.
 */
export function statRecords(
  { columns, passes = 1 }: StatisticsTable,
  row: Values,
  step: number,
): StatRecord[] {
  const records = columns.flatMap((column) => {
    const { attention } = column;
    return attention ? attentionRecords(row, step, column, attention) : [tensorRecord(row, step, column)];
  });
  if (passes === 1) return records;
  return records.map((record) => {
    if (!PER_PASS.includes(record.kind)) return record;
    const { type, step, kind, tap, layer, head, ...statistics } = record;
    return { type, step, kind, tap, layer, head, pass: "last", ...statistics };
  });
}
