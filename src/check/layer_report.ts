// Functions that report layer checks: a line for each check, and a page of text and a log record for each case.
import type { TaskRecord } from "../log/task_records.ts";
import { aligned, cell, indented, short, sideBySide, verdict } from "./check_report.ts";
import { type CheckedLayer, LAYER_ALLOWED, type LayerCase, type LayerCheck } from "./layer_check.ts";
import type { Matrix } from "./layer_oracle.ts";

/** Returns one line with the number of cases, the worst error, and the number of failures. */
export function layerSummary({ implementation, count, worst, failed }: LayerCheck): string {
  const most = worst
    ? `, worst error ${short(worst.error)} (case ${worst.index}, allowed ${LAYER_ALLOWED})`
    : "";
  return verdict(implementation, count, failed.length, most);
}

/** True if a case is not an edge case, that is, if it has several positions and heads, d > 1 and no fully masked row. */
function isOrdinary({ x, heads, mask }: LayerCase): boolean {
  return x.length > 1 && heads > 1 && x[0].length > heads && mask.every((row) => row.includes(true));
}

/** Returns the failed case whose input and mask have the fewest numbers. Cases that are not edge cases are preferred. */
export function smallestLayerFailure({ failed }: LayerCheck): CheckedLayer | undefined {
  const numbers = ({ given: { x, mask } }: CheckedLayer) => x.length * x[0].length + mask.length ** 2;
  const ordinary = failed.filter(({ given }) => isOrdinary(given));
  return [...(ordinary.length ? ordinary : failed)].sort((a, b) => numbers(a) - numbers(b))[0];
}

const rowsOf = (x: Matrix): string[] => aligned(x.map((row) => row.map(cell)));

/**
 * Describes a case in full: its sizes and seed, the error, the input, the mask, the weights, and the expected and actual
 * values.
 */
export function describeLayerCase(checked: CheckedLayer): string {
  const { given, expected, actual, error, failure, passed } = checked;
  const { index, seed, x, weights, heads, mask } = given;
  const sizes = `x [${x.length}][${x[0].length}] ([T][D]), ${heads} ${
    heads === 1 ? "head" : "heads"
  } of d = ${x[0].length / heads}`;
  const all = mask.every((row) => row.every(Boolean));
  return [
    `case ${index} of seed ${seed}: ${passed ? "passed" : "failed"}`,
    `  ${sizes}`,
    ...(error === undefined
      ? []
      : [`  y: relative error ${short(error)}, allowed ${LAYER_ALLOWED}${passed ? "" : "  <"}`]),
    ...(failure === undefined ? [] : failure.split("\n").map((line) => `  ${line}`)),
    "  x:",
    ...indented(rowsOf(x)),
    ...(all ? ["  mask: every position is seen"] : [
      "  mask (1: attend):",
      ...indented(mask.map((row) => row.map((sees) => sees ? "1" : ".").join(" "))),
    ]),
    ...Object.entries(weights).flatMap(([name, values]) => {
      const rows = Array.isArray(values[0]) ? values as Matrix : [values as number[]];
      const shape = Array.isArray(values[0]) ? `[${rows.length}][${rows[0].length}]` : `[${values.length}]`;
      return [`  ${name} ${shape}:`, ...indented(rowsOf(rows))];
    }),
    ...(actual
      ? ["  y, expected | found:", ...sideBySide(rowsOf(expected), rowsOf(actual))]
      : ["  y, expected:", ...indented(rowsOf(expected))]),
  ].join("\n");
}

/** Returns the log record of a case. */
export function layerRecord(
  { implementation, kind }: Pick<LayerCheck, "implementation" | "kind">,
  { given: { index, seed, x, heads }, error, failure, passed }: CheckedLayer,
): Extract<TaskRecord, { type: "layer_case" }> {
  return {
    type: "layer_case",
    implementation,
    layer: kind,
    case: index,
    seed,
    passed,
    error: error ?? null,
    positions: x.length,
    dim: x[0].length,
    heads,
    failure: failure ?? null,
  };
}
