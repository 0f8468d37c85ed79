// Statistics on the host, with the same formulas as the kernels, one chunk at a time.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { RowsAttrs } from "./chunks.ts";
import { EMPTY, merge, PARTIAL, type Partial, partialOf, summaryOf, TENSOR_TABLE } from "./table.ts";

const FIELDS = Object.keys(EMPTY) as (keyof Partial)[];

function read(rows: Values, i: number): Partial {
  const partial = { ...EMPTY };
  FIELDS.forEach((field, n) => partial[field] = rows[PARTIAL * i + n]);
  return partial;
}

/** Computes one partial per chunk. */
export function chunkStatisticsCpu(
  [x, table]: readonly Values[],
  [partials]: readonly Values[],
  { attrs: rows }: Call<RowsAttrs | null>,
): void {
  for (let i = 0; 4 * i < table.length; i++) {
    const ofChunk = rows && i >= rows.contiguous ? rows : null;
    const partial = partialOf(x, table.subarray(4 * i, 4 * i + 4), ofChunk);
    (partials as Floats).set(FIELDS.map((field) => partial[field]), PARTIAL * i);
  }
}

/** Computes one row of statistics per part. */
export function statisticsCpu(inputs: readonly Values[], [rows]: readonly Values[], { outputs }: Call): void {
  const [partials, samples, parts] = inputs;
  const [count, width] = outputs[0].shape;
  for (let part = 0; part < count; part++) {
    const [first, length, elements] = parts.subarray(4 * part, 4 * part + 3);
    const ofSamples = Array.from({ length }, (_, i) => {
      const [row, chunks] = samples.subarray(2 * (first + i), 2 * (first + i) + 2);
      return Array.from({ length: chunks }, (_, k) => read(partials, row + k)).reduce(merge, EMPTY);
    });
    const summary = summaryOf(ofSamples, elements);
    (rows as Floats).set(Object.values(TENSOR_TABLE).map(({ host }) => host(summary)), width * part);
  }
}
