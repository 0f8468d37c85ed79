// The embedding and the gradient of its table in WebAssembly. A block computes some columns of the table's gradient by adding
// the rows of dy for all tokens in order, so that the sums do not depend on the number of threads.
import { bytePhase, copyPhase } from "../../src/graph/simd_copy.ts";
import type { Simd } from "../../src/graph/simd.ts";
import { type Call, sizeOf } from "../../src/graph/tensor.ts";
import { element, f32x4, type Func, type I32, i32, int, load, select } from "../../src/wasm/mod.ts";
import { eachStrip, STRIP } from "../simd/columns.ts";
import { rowGroups } from "../simd/rows.ts";

/** Returns the index of the table row that token n selects. An id past the end of the table selects the last row. */
function rowOf(f: Func, ids: I32, n: I32, rows: number): I32 {
  const id = f.let(load("i32", element(ids, n)));
  return f.let(select(i32.ltU(id, rows), id, int(rows - 1)));
}

/** y[n, :] = table[ids[n], :]. */
export function embeddingSimd({ inputs: [{ shape: [rows, size] }, ids] }: Call): Simd {
  const groups = rowGroups(sizeOf(ids), size, { most: 1, elements: 16384 });
  return {
    phases: [{
      label: "embedding",
      blocks: groups.blocks,
      kernel: (f, block, { inputs: [table, ids], outputs: [y] }) =>
        groups.each(f, groups.range(f, block), (n) => {
          const row = rowOf(f, ids, n, rows);
          f.copy(element(y, n, 4 * size), element(table, row, 4 * size), 4 * size);
        }),
    }],
  };
}

/** dtable[v, :] = sum of dy[n, :] over the tokens n with id v, in order, plus the addend if there is one. */
export function embeddingBackwardSimd(
  { inputs: [ids, , addend], outputs: [{ shape: [rows, size] }] }: Call,
): Simd {
  const tokens = sizeOf(ids);
  const label = "embedding_backward";
  const start = addend
    ? copyPhase(`${label}_start`, rows * size, ({ inputs, outputs }) => ({ to: outputs[0], from: inputs[2] }))
    : bytePhase(`${label}_start`, rows * size, (f, first, bytes, { outputs: [dtable] }) => {
      f.zero(i32.add(dtable, first), bytes);
    });
  return {
    phases: [start, {
      label,
      blocks: Math.ceil(size / STRIP),
      kernel: (f, block, { inputs: [ids, dy], outputs: [dtable] }) =>
        eachStrip(f, size, STRIP, block, (column, parts) => {
          f.loop(0, tokens, 1, (n) => {
            const to = f.let(i32.add(element(dtable, rowOf(f, ids, n, rows), 4 * size), column));
            const from = f.let(i32.add(element(dy, n, 4 * size), column));
            for (const [offset, part] of parts) {
              part.store(f, to, f32x4.add(load("v128", to, offset), load("v128", from, offset)), offset);
            }
          });
        }),
    }],
  };
}
