// Statistics of many tensors at once: one dispatch per tensor, which reads the tensor once, and two dispatches for all tensors
// together.
import { apply, formatSpec, mismatch, sizeOf, workgroups1d } from "../../src/graph/tensor.ts";
import type { Call, Lowered, Op, Target, Tensor } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import { ALIGN, literal, pack } from "../../src/graph/structure.ts";
import { chunkStatisticsCpu, statisticsCpu } from "./cpu.ts";
import { PARTIAL, STATISTICS, TENSOR_TABLE } from "./table.ts";
import { chunksOf, type RowsAttrs, type Segment } from "./chunks.ts";
import { finishPhase } from "./finish_simd.ts";
import { chunkPhase } from "./simd.ts";
import finishWgsl from "./finish.wgsl" with { type: "text" };
import partialWgsl from "./partial.wgsl" with { type: "text" };
import samplesWgsl from "./samples.wgsl" with { type: "text" };

/** A tensor, and the parts of it whose statistics are computed. */
export interface StatisticsInput {
  /** Any shape, f32. */
  readonly x: Tensor;
  /** Each part gets one row of statistics. Parts may overlap. Parts with `rows` must come last and have equal `rows`. */
  readonly parts: readonly Segment[];
}

/** Number of vec4s that an invocation keeps in registers. A software adapter is as fast with 4, because loads dominate. */
const UNROLL = 16;

/**
 * Returns the number of invocations per workgroup, which is small on a software adapter so that even small tensors are split over
 * several threads.
 */
const lanesOf = ({ kind }: Target): number => kind === "gpu" ? 64 : 16;

/**
 * Inputs: x and the table of its chunks. Output: one partial per chunk; its fields are stored as bits (see partial.wgsl and
 * simd.ts). The attributes are null if all chunks are contiguous.
 */
export const chunkStatisticsOp: Op<RowsAttrs | null> = {
  name: "chunk_statistics",
  early: true,
  infer([x, table]) {
    if (x.dtype !== "f32") mismatch("statistics", "a tensor of f32", [x]);
    return [{ shape: [table.shape[0], PARTIAL], dtype: "f32" }];
  },
  lower({ inputs: [, table], attrs: rows }, target) {
    const lanes = lanesOf(target);
    return {
      dispatches: [{
        label: "chunk_statistics",
        source: partialWgsl,
        constants: {
          CHUNKS: true,
          UNROLL,
          LANES: lanes,
          SPREAD: target.kind === "gpu",
          KINDS: rows ? 2 : 1,
          CONTIGUOUS: rows?.contiguous ?? 0,
          ROW: rows?.length ?? 0,
          EVERY: rows?.every ?? 0,
          FOURS: rows?.fours ?? 0,
        },
        bindings: { 0: ["input", 0], 1: ["input", 1], 2: ["output", 0] },
        workgroups: workgroups1d(table.shape[0], lanes),
      }],
    };
  },
  simd: ({ inputs: [, table], attrs: rows }) => ({ phases: [chunkPhase(table.shape[0], rows)] }),
  cpu: chunkStatisticsCpu,
};

/** Attributes of the operation that merges the partials. */
export interface FinishAttrs {
  /** Maximum number of samples in a part. */
  readonly mostSamples: number;
}

function lowerFinish({ inputs, attrs: { mostSamples } }: Call<FinishAttrs>, target: Target): Lowered {
  const lanes = lanesOf(target);
  const [samples, parts] = inputs.slice(1).map(({ shape }) => shape[0]);
  return {
    scratch: [samples * PARTIAL],
    dispatches: [{
      label: "sample_statistics",
      source: `${partialWgsl}\n${samplesWgsl}`,
      constants: { SAMPLES: samples, LANES: lanes },
      bindings: { 0: ["input", 0], 1: ["input", 1], 2: ["scratch", 0] },
      workgroups: workgroups1d(samples, lanes),
    }, {
      label: "statistics",
      source: `${partialWgsl}\n${finishWgsl}`,
      constants: { PARTS: parts, STATISTICS: STATISTICS.length, LANES: lanes },
      code: {
        COLUMN_LINES: Object.values(TENSOR_TABLE)
          .map(({ column }, i) => `  rows[at + ${i}u] = ${column};`).join("\n"),
      },
      bindings: { 0: ["scratch", 0], 1: ["input", 2], 2: ["output", 0] },
      workgroups: workgroups1d(parts, lanes),
      iterations: { count: 2 * mostSamples, of: `samples = ${mostSamples}` },
    }],
  };
}

/**
 * Inputs: the partials of all chunks; a table with the first partial and the number of partials of each sample; a table with
 * the first sample and the numbers of samples and elements of each part. Output: one row of statistics per part, f32
 * [parts, columns].
 */
export const statisticsOp: Op<FinishAttrs> = {
  name: "statistics",
  infer: ([, , parts]) => [{ shape: [parts.shape[0], STATISTICS.length], dtype: "f32" }],
  lower: lowerFinish,
  simd: ({ inputs: [, , parts] }) => ({ phases: [finishPhase(parts.shape[0])] }),
  cpu: statisticsCpu,
};

function checkPart(x: Tensor, { offset, samples, size, rows }: Segment): void {
  const { length, every } = rows ?? { length: size, every: size };
  const integral = [offset, samples, size, length, every, size / length].every(Number.isInteger);
  const end = offset + (samples * size / length - 1) * every + length;
  if (
    integral && offset >= 0 && samples >= 1 && length >= 1 && length <= every && size >= 1 && end <= sizeOf(x)
  ) {
    return;
  }
  throw new UserError(
    `statistics: found ${samples} samples of ${size} elements, starting at element ${offset} of ${
      formatSpec(x)
    }, expected at least one ` +
      `sample of at least one element, all inside the tensor.`,
  );
}

function checkParts(x: Tensor, parts: readonly Segment[]): void {
  for (const part of parts) checkPart(x, part);
  const first = parts.findIndex(({ rows }) => rows);
  if (first < 0) return;
  const { length, every } = parts[first].rows!;
  if (parts.slice(first).every(({ rows }) => rows?.length === length && rows.every === every)) return;
  throw new UserError("statistics: expected all parts with rows to come last and to have equal rows.");
}

/** Smallest number of partials whose total size is a multiple of ALIGN, so that a binding can start after them. */
const ROWS_ALIGN = ALIGN / (PARTIAL & -PARTIAL);

/** Creates a constant table for a kernel, u32 [rows, columns]. */
function table(rows: readonly (readonly number[])[]): Tensor {
  return literal(Uint32Array.from(rows.flat()), [rows.length, rows[0].length], "u32");
}

/**
 * Computes statistics of parts of many tensors. This costs little more than reading each tensor once: there is one dispatch per
 * tensor, and two more dispatches for all tensors together.
 *
 * Values are scaled by a power of two before squaring, so that a statistic is infinite only if its exact value overflows
 * float32. The order of every sum is fixed. A device may flush subnormal values to 0 in all statistics except the share of
 * zeros.
 *
 * @param summarised f32 tensors of any shape, and their parts
 * @returns f32 [parts, columns]: one row of {@link STATISTICS} per part of every tensor, in order
 * @throws {UserError} if a part is not inside its tensor, a tensor is not f32, or no parts are given
 * @see Chan, Golub, LeVeque 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances
 *
 * @example
 * ```ts
 * import { input } from "../../mod.ts";
 * import { statistics } from "../mod.ts";
 * const rows = statistics([
 *   { x: input("z", [8, 16, 64]), parts: [{ offset: 0, samples: 8, size: 16 * 64 }] },
 *   { x: input("weight", [64, 64]), parts: [{ offset: 0, samples: 1, size: 64 * 64 }] },
 * ]); // [2, columns]
 * ```
 */
export function statistics(summarised: readonly StatisticsInput[]): Tensor {
  const [partials, offsets, samples, parts]: [Tensor[], number[], number[][], number[][]] = [[], [], [], []];
  // Tensors with the same parts share a table.
  const tables = new Map<string, Tensor>();
  let row = 0;
  for (const { x, parts: segments } of summarised) {
    if (segments.length === 0) continue;
    checkParts(x, segments);
    const { chunks, counts, rows } = chunksOf(segments);
    const key = JSON.stringify(segments);
    const chunkTable = tables.get(key) ?? table(chunks);
    tables.set(key, chunkTable);
    partials.push(apply(chunkStatisticsOp, [x, chunkTable], rows)[0]);
    offsets.push(PARTIAL * row);
    let first = samples.length;
    for (const part of segments) {
      parts.push([first, part.samples, part.samples * part.size, 0]);
      first += part.samples;
    }
    for (const count of counts) {
      samples.push([row, count]);
      row += count;
    }
    // The partials of the next tensor must begin at a valid binding offset.
    row = Math.ceil(row / ROWS_ALIGN) * ROWS_ALIGN;
  }
  if (parts.length === 0) {
    throw new UserError("statistics: expected at least one part of one tensor, found none.");
  }
  const all = pack(partials, offsets, PARTIAL * row);
  const mostSamples = parts.reduce((most, [, count]) => Math.max(most, count), 0);
  return apply(statisticsOp, [all, table(samples), table(parts)], { mostSamples })[0];
}
