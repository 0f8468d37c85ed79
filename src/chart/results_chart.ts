// Draws the losses of many runs in one chart. If there are more runs than line styles, the runs with the highest losses are
// left out.

import { basename, dirname } from "node:path";
import { UserError } from "../base/errors.ts";
import type { RunResult } from "../log/results.ts";
import { LINE_STYLES } from "./document.ts";
import { metricChart } from "./metric_chart.ts";

/** A chart that compares runs. */
export interface ResultsChart {
  /** An SVG document. */
  readonly svg: string;
  /** The number of runs shown. */
  readonly shown: number;
}

/**
 * Draws the validation losses of runs over steps, or their training losses if no run has a validation loss. If there are
 * more than 24 runs, only the 24 best are shown, in the given order.
 *
 * @throws {UserError} if there is no loss to draw, or a log cannot be read
 *
 * @example
 * ```ts
 * import { resultsChart, runResult } from "../../mod.ts";
 * const result = await runResult("runs/latest/log.ndjson");
 * if (result) await Deno.writeTextFile("runs.svg", (await resultsChart([result])).svg);
 * ```
 * @category Charts
 */
export async function resultsChart(results: readonly RunResult[]): Promise<ResultsChart> {
  const validated = results.filter(({ split, last }) => split === "val" && last !== null);
  const drawable = validated.length > 0 ? validated : results.filter(({ steps }) => steps > 0);
  if (drawable.length === 0) throw new UserError("There is no loss to draw: no run has completed a step.");
  const lossOf = (result: RunResult) => result.best?.loss ?? Infinity;
  const best = new Set(drawable.toSorted((a, b) => lossOf(a) - lossOf(b) || 0).slice(0, LINE_STYLES));
  const shown = drawable.filter((result) => best.has(result));
  const runs = shown.map(({ name, log }) => {
    const folder = dirname(log);
    const same = shown.filter((other) => other.name === name).length;
    return { name: same === 1 ? name : `${name}/${basename(folder)}`, log };
  });
  const show = validated.length > 0 ? "val_loss" : "loss";
  const note = shown.length < drawable.length
    ? `the ${shown.length} best of ${drawable.length} runs`
    : undefined;
  return { svg: await metricChart(runs, { show, note }), shown: shown.length };
}
