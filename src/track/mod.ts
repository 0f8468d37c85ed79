/**
 * Tracking: selectors over tensors, the statistics of a step, and captures of attention matrices.
 *
 * @example
 * ```ts
 * import { KINDS } from "./mod.ts";
 * console.log(KINDS.join()); // the prefixes of a selector, before the colon
 * ```
 *
 * @module
 */

export * from "./capture_charts.ts";
export * from "./selectors.ts";
export type { StatColumn, StatisticsPlan, StatisticsTable } from "./step_statistics.ts";
