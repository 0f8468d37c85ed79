// Draws all charts for which a log has records, in one pass over the log.

import { readLog } from "../log/log_file.ts";
import type { EvalRecord, LogRecord, RunRecord, StepRecord } from "../log/records.ts";
import { headsCharts } from "./heads_chart.ts";
import { jacobianCharts } from "./jacobian_chart.ts";
import type { LogCharts } from "./log_charts.ts";
import { lossChart } from "./loss_chart.ts";
import { normsCharts } from "./norms_chart.ts";
import { thinner } from "./downsample.ts";

/**
 * The number of segments into which a line is downsampled, which is more than a chart can show and less than the number of
 * steps of a long run.
 */
const STRETCHES = 1024;

/** Draws the losses of steps and evaluations, with the learning rate, as `loss.svg`. */
function lossCharts(): LogCharts {
  const steps = thinner<StepRecord>(STRETCHES, ({ loss }) => loss);
  const splits = new Map<string, ReturnType<typeof thinner<EvalRecord>>>();
  let unigramNats: number | undefined;
  return {
    types: ["run", "step", "eval"],
    add(record) {
      if (record.type === "run") unigramNats = record.unigram_nats ?? undefined;
      if (record.type === "step") steps.add(record);
      if (record.type !== "eval") return;
      splits.getOrInsertComputed(record.split, () => thinner(STRETCHES, ({ loss }) => loss)).add(record);
    },
    draw(name): Record<string, string> {
      const records = [...steps.items(), ...[...splits.values()].flatMap((split) => split.items())];
      if (records.length === 0) return {};
      return { "loss.svg": lossChart(records, { title: `Loss of ${name}`, unigramNats }) };
    },
  };
}

/**
 * Draws all charts for which a log has records, keyed by file name. They show the loss with the learning rate and
 * evaluations; the norms of parameters and gradients by layer, and sheets and maps of the heads, from `stat` records; and
 * the parts of softmax's gradient, from `jacobian` records. The log is read once, in memory that does not grow with its
 * length.
 *
 * @param log path of the log, or `-` for standard input
 * @param name the name in titles. Default: the name in the log's `run` record or, if there is none, "run".
 * @returns the SVG documents; an empty object if the log has nothing to draw
 * @throws UserError if the log cannot be read
 *
 * @example
 * ```ts
 * import { runCharts } from "../../mod.ts";
 * const charts = await runCharts("runs/latest/log.ndjson");
 * for (const [file, svg] of Object.entries(charts)) await Deno.writeTextFile(file, svg);
 * ```
 * @category Charts
 */
export async function runCharts(log: string, name?: string): Promise<Record<string, string>> {
  const families = [lossCharts(), normsCharts(), headsCharts(), jacobianCharts()];
  let opening: RunRecord | undefined;
  const types = [...new Set(["run", ...families.flatMap((family) => family.types)])];
  for await (const record of readLog(log, { types })) {
    if (record.type === "run") opening = record;
    for (const family of families) family.add(record as LogRecord);
  }
  const title = name ?? opening?.name ?? "run";
  return Object.assign({}, ...families.map((family) => family.draw(title)));
}
