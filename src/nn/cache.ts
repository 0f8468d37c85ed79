// The KV cache: keys and values of earlier positions stay on the device, so that a pass computes only its new positions. The
// positions of a pass are inputs of its program, so that one program serves texts of any length.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { cacheRows } from "../../kernels/cache_rows/op.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { lookup, plus, substitute, variable, variablesOf } from "../../kernels/expression/expression.ts";
import { input, reshape, state } from "../graph/structure.ts";
import type { Tensor } from "../graph/tensor.ts";

/** The KV cache of a pass over T new positions in each of B rows. */
export interface KeyCache {
  /** Capacity in positions per row, S. */
  readonly length: number;
  /** Position of each id in its row: the program's input `positions`, u32 [B, T]. */
  readonly positions: Tensor;
  /** Position of each row's first id: the program's input `start`, f32 [B]. */
  readonly start: Tensor;
  /** The states that hold the keys and values appended so far, [B, S, C] each. */
  readonly states: readonly Tensor[];
  /** Writes keys or values [B, T, HKV, d] into the cache called `name`; returns the whole cache, [B, S, HKV, d]. */
  append(name: string, x: Tensor): Tensor;
}

/**
 * Returns a cache for passes over `count` new positions per row. Caches with the same `rows` and `length` share their states on
 * the device. A position attends only to itself and to earlier positions of its row. So rows may have different lengths, and a
 * cache entry after a row's last position is never read before it is written.
 *
 * @param rows number of rows, B
 * @param count new positions per row, T
 * @param length capacity in positions per row, S
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
      // The shape is in the name, so that another number of rows, or another model, has separate states.
      const cached = state(`cache ${shape.join("x")} ${name}`, shape);
      states.push(cached);
      return reshape(cacheRows(cached, reshape(x, [B, T, heads * d]), positions), [B, length, heads, d]);
    },
  };
}

/** In a modifier or mask, replaces the query's index i within the pass by the query's position within its row, start_b + i. */
export function atPositions({ expression, tables }: ScoreModifier, { start }: KeyCache): ScoreModifier {
  if (!variablesOf(expression).has("i")) return { expression, tables };
  const position = plus(variable("i"), lookup("cache_start", start.shape, variable("b")));
  return { expression: substitute(expression, "i", position), tables: { ...tables, cache_start: start } };
}

/** Returns the rows of a table [S, d] at the positions of a pass, as a tensor [B, T, d]. */
export function rowsAt(table: Tensor, { positions }: KeyCache): Tensor {
  return embedding(table, positions);
}
