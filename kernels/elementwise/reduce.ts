// Sums: of columns, of everything, of squares. Two dispatches of fixed shape, so that a sum is the same every time.
import {
  apply,
  type Dispatch,
  mismatch,
  type Op,
  type Ref,
  sizeOf,
  type Tensor,
  workgroups1d,
} from "../../src/graph/tensor.ts";
import { reshape } from "../../src/graph/structure.ts";
import { elementwise } from "./op.ts";
import { times, variable } from "../expression/expression.ts";
import { reduceCpu } from "./reduce_cpu.ts";
import reduceWgsl from "./reduce.wgsl" with { type: "text" };

/** Attributes of a sum. */
export interface ReduceAttrs {
  /** Sum the squares. */
  readonly square: boolean;
}

/** Rows that one invocation sums: about the square root, so that both dispatches are short. */
export function chunkRows(rows: number, columns: number): number {
  const wanted = Math.ceil(Math.sqrt(rows));
  // With many columns there are invocations enough, and fewer pieces to sum again.
  return columns >= 256 ? Math.max(wanted, 64) : wanted;
}

/** Rows, columns, rows of one piece, and whether squares are summed. */
export interface ReduceShape {
  readonly rows: number;
  readonly columns: number;
  readonly perChunk: number;
  readonly square?: boolean;
}

/** One dispatch of column sums, for operations that end with one: from [rows, columns] to [pieces, columns]. */
export function reducePass(label: string, from: Ref, to: Ref, shape: ReduceShape): Dispatch {
  const { rows, columns, perChunk, square = false } = shape;
  const chunks = Math.ceil(rows / perChunk);
  return {
    label,
    source: reduceWgsl,
    constants: { ROWS: rows, COLUMNS: columns, CHUNK_ROWS: perChunk, CHUNKS: chunks, SQUARE: square },
    bindings: { 0: from, 1: to },
    workgroups: workgroups1d(columns * chunks, 64),
  };
}

export const reduceOp: Op<ReduceAttrs> = {
  name: "reduce",
  infer([x]) {
    if (x.shape.length !== 2 || x.dtype !== "f32") mismatch("reduce", "a matrix f32[rows, columns]", [x]);
    return [{ shape: [x.shape[1]], dtype: "f32" }];
  },
  lower({ inputs: [x], attrs: { square } }) {
    const [rows, columns] = x.shape;
    const perChunk = chunkRows(rows, columns);
    const chunks = Math.ceil(rows / perChunk);
    const shape = { rows, columns, perChunk, square };
    if (chunks === 1) return { dispatches: [reducePass("reduce", ["input", 0], ["output", 0], shape)] };
    return {
      scratch: [chunks * columns],
      dispatches: [
        reducePass("reduce", ["input", 0], ["scratch", 0], shape),
        reducePass("reduce", ["scratch", 0], ["output", 0], { rows: chunks, columns, perChunk: chunks }),
      ],
    };
  },
  cpu: reduceCpu,
  vjp(node, [g]) {
    const [x] = node.inputs;
    const { square } = node.attrs as ReduceAttrs;
    // The gradient of a sum is the sum's own, repeated along the rows; x gives the shape.
    const slope = square ? times(times(2, variable("x")), variable("g")) : variable("g");
    return [elementwise(slope, { x, g: g! }, "reduce_backward")];
  },
};

/** Sums of the columns: x [R, C] to [C]. */
export function sumRows(x: Tensor): Tensor {
  return apply(reduceOp, [x], { square: false })[0];
}

/** Rows of 64 numbers if that divides the size, so that neighbours read neighbours; else one column. */
function columnsOf(x: Tensor): number {
  return sizeOf(x) % 64 === 0 ? 64 : 1;
}

function sumEverything(x: Tensor, square: boolean): Tensor {
  const columns = columnsOf(x);
  const sums = apply(reduceOp, [reshape(x, [sizeOf(x) / columns, columns])], { square })[0];
  return columns === 1 ? sums : sumRows(reshape(sums, [columns, 1]));
}

/** Sum of all elements, [1]. */
export function sumAll(x: Tensor): Tensor {
  return sumEverything(x, false);
}

/** Sum of the squares of all elements, [1]. */
export function sumSquares(x: Tensor): Tensor {
  return sumEverything(x, true);
}
