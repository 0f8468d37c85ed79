// Keys and values of the positions that a model has read, kept on the device: the next pass computes its new positions alone.
// A pass knows where it stands by two inputs, so that one program serves every length.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { cacheRows } from "../../kernels/cache_rows/op.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { lookup, plus, substitute, variable, variablesOf } from "../../kernels/expression/expression.ts";
import { input, reshape, state } from "../graph/structure.ts";
import type { Tensor } from "../graph/tensor.ts";

/** Where a pass of T new positions for each of B rows stands among those held. */
export interface KeyCache {
  /** Positions held of each row, S. */
  readonly length: number;
  /** Number of each id's position: input `positions`, u32 [B, T]. */
  readonly positions: Tensor;
  /** The first of them: input `start`, f32 [B]. */
  readonly start: Tensor;
  /** The states that hold keys and values so far, [B, S, C] each. */
  readonly states: readonly Tensor[];
  /** Puts keys or values [B, T, HKV, d] among those held under `name`; gives all, [B, S, HKV, d]. */
  append(name: string, x: Tensor): Tensor;
}

/**
 * A cache for passes of `count` new positions: the states on the device are shared by all passes over as many rows. A
 * position sees what stands at its own number and before it, so that rows may stand at different places, and what lies behind
 * a row's end is never read before it is written.
 *
 * @param rows B
 * @param count T
 * @param length S
 */
export function keyCache(rows: number, count: number, length: number): KeyCache {
  const states: Tensor[] = [];
  const positions = input("positions", [rows, count], "u32");
  return {
    length,
    positions,
    start: input("start", [rows]),
    states,
    append(name, x) {
      const [B, T, heads, d] = x.shape;
      const shape = [B, length, heads * d];
      // The shape is in the name, so that another number of rows, or another model, has states of its own.
      const held = state(`cache ${shape.join("x")} ${name}`, shape);
      states.push(held);
      return reshape(cacheRows(held, reshape(x, [B, T, heads * d]), positions), [B, length, heads, d]);
    },
  };
}

/** A modifier or mask over the number of a query in its pass, as one over its position: i becomes start_b + i. */
export function atPositions({ expression, tables }: ScoreModifier, { start }: KeyCache): ScoreModifier {
  if (!variablesOf(expression).has("i")) return { expression, tables };
  const position = plus(variable("i"), lookup("cache_start", start.shape, variable("b")));
  return { expression: substitute(expression, "i", position), tables: { ...tables, cache_start: start } };
}

/** Rows [B, T, d] of a table [S, d], by position. */
export function rowsAt(table: Tensor, { positions }: KeyCache): Tensor {
  return embedding(table, positions);
}
