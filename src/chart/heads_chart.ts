// Charts that compare the heads of a run: sheets of lines over the steps, and maps of the last step with one cell per layer
// and head.

import { ATTENTION_TABLE } from "../../kernels/attention_statistics/table.ts";
import type { LogRecord } from "../log/records.ts";
import type { ChartAxis } from "./frame.ts";
import { headSheet } from "./line_panels.ts";
import { heatMap } from "./heat_map.ts";
import type { LogCharts } from "./log_charts.ts";
import { type Thinner, thinner } from "./downsample.ts";

const STRETCHES = 128;

const ascending = (numbers: Iterable<number>): number[] => [...new Set(numbers)].sort((a, b) => a - b);

/** One quantity of all heads: lines over the steps, and the last values. */
export type HeadLines = ReturnType<typeof headLines>;

/** Collects one quantity of all heads, in memory independent of the number of steps. */
export function headLines() {
  const lines = new Map<number, Map<number, Thinner<[number, number]>>>();
  let values = new Map<string, number>();
  let [first, last] = [NaN, 0];
  const layers = () => ascending(lines.keys());
  const heads = () => ascending([...lines.values()].flatMap((byHead) => [...byHead.keys()]));
  /** Returns the value of a head at the last step, or NaN if the head has no value there. */
  const lastOf = (layer: number, head: number) => values.get(`${layer} ${head}`) ?? NaN;
  return {
    add(layer: number, head: number, step: number, value: number): void {
      if (Number.isNaN(first)) first = step;
      if (step !== last) [last, values] = [step, new Map()];
      values.set(`${layer} ${head}`, value);
      const byHead = lines.getOrInsertComputed(layer, () => new Map());
      byHead.getOrInsertComputed(head, () => thinner(STRETCHES, ([, y]) => y)).add([step, value]);
    },
    /** The last step that was added, or 0 if there is none. */
    get last() {
      return last;
    },
    /** Whether more than one step was added. */
    get moves() {
      return last !== first;
    },
    layers,
    heads,
    lastOf,
    sheet: (title: string, { label, limits }: ChartAxis) =>
      headSheet({
        title,
        x: { label: "step" },
        y: { label, limits },
        panels: layers().map((layer) => ({
          title: `layer ${layer}`,
          series: ascending(lines.get(layer)!.keys()).map((head) => ({
            name: `head ${head}`,
            points: lines.get(layer)!.get(head)!.items(),
          })),
        })),
      }),
    /** Returns a heat map of the last values, with a diverging scale if `signed`. */
    map: (title: string, label: string, signed?: boolean) =>
      heatMap({
        title,
        rows: layers().map(String),
        columns: heads().map(String),
        values: layers().map((layer) => heads().map((head) => lastOf(layer, head))),
        y: { label: "layer" },
        x: { label: "head" },
        value: { label },
        signed,
      }),
  };
}

/** The statistics to draw charts of. */
const CHARTED = Object.entries(ATTENTION_TABLE)
  .flatMap(([name, { chart }]) => chart ? [{ name, ...chart }] : [])
  .sort((a, b) => a.place - b.place);

/**
 * Returns charts of the heads, drawn from `stat` records of attention patterns. For each of entropy, sink and row mass,
 * there is a sheet of lines over the steps (`heads_entropy.svg`) and a map of the last step with one cell per layer and
 * head (`heads_entropy_last.svg`).
 *
 * @example
 * ```ts
 * import { headsCharts } from "./mod.ts";
 * const charts = headsCharts();
 * const about = { type: "stat", kind: "act", tap: "blocks.0.attn.pattern", layer: 0 } as const;
 * for (const head of [0, 1]) charts.add({ ...about, step: 1, head, entropy: 1 + head });
 * Object.keys(charts.draw("small")); // ["heads_entropy.svg", "heads_entropy_last.svg"]
 * ```
 */
export function headsCharts(): LogCharts {
  const kept = new Map<string, HeadLines>();
  return {
    types: ["stat"],
    add(record: LogRecord) {
      if (record.type !== "stat" || record.kind !== "act") return;
      const { layer, head, step } = record;
      if (layer === null || head === null) return;
      for (const { name } of CHARTED) {
        // A statistic that had no rows to average over is null. It becomes a gap in the line and a hatched cell in the map.
        const value = record[name] === null ? NaN : record[name];
        if (typeof value !== "number") continue;
        kept.getOrInsertComputed(name, headLines).add(layer, head, step, value);
      }
    },
    draw(run) {
      const drawn = CHARTED.flatMap(({ name, title, label, limits }) => {
        const lines = kept.get(name);
        if (!lines) return [];
        return [
          [`heads_${name}.svg`, lines.sheet(`${run}: ${title}`, { label, limits })],
          [`heads_${name}_last.svg`, lines.map(`${run}: ${title} at step ${lines.last}`, label)],
        ];
      });
      return Object.fromEntries(drawn);
    },
  };
}
