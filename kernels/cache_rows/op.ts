// Writes rows into a cache at given positions, for example new keys and values into the KV cache during generation.
import { apply, mismatch, type Op, sizeOf, type Tensor, workgroups1d } from "../../src/graph/tensor.ts";
import { element, i32, load } from "../../src/wasm/mod.ts";
import cacheRowsWgsl from "./cache_rows.wgsl" with { type: "text" };

/** Inputs: cache [B, S, C], which is written in place, rows [B, T, C] and positions u32 [B, T]. */
export const cacheRowsOp: Op = {
  name: "cache_rows",
  inplace: { 0: 0 },
  infer(inputs) {
    const [cache, rows, positions] = inputs;
    const [B, , C] = cache.shape;
    const T = rows.shape[1];
    const fits = cache.shape.length === 3 && rows.shape.join() === [B, T, C].join() &&
      positions.shape.join() === [B, T].join() && cache.dtype === "f32" && rows.dtype === "f32" &&
      positions.dtype === "u32";
    if (!fits) {
      mismatch("cache_rows", "cache f32[B, S, C], rows f32[B, T, C] and positions u32[B, T]", inputs);
    }
    return [{ shape: cache.shape, dtype: "f32" }];
  },
  lower({ inputs: [{ shape: [B, S, C] }, rows] }) {
    return {
      dispatches: [{
        label: "cache_rows",
        source: cacheRowsWgsl,
        constants: { B, S, C, T: rows.shape[1] },
        bindings: { 0: ["output", 0], 1: ["input", 1], 2: ["input", 2] },
        workgroups: workgroups1d(sizeOf(rows), 64),
      }],
    };
  },
  // Each sample is one block, so that rows with equal positions are written in order.
  simd: ({ inputs: [{ shape: [B, S, C] }, { shape: [, T] }] }) => ({
    phases: [{
      label: "cache_rows",
      blocks: B,
      kernel(f, sample, { inputs: [, rows, positions], outputs: [cache] }) {
        f.loop(0, T, 1, (t) => {
          const row = f.let(i32.add(i32.mul(sample, T), t));
          const at = f.let(load("i32", element(positions, row)));
          f.if(i32.ltU(at, S), () => {
            const to = element(cache, i32.add(i32.mul(sample, S), at), 4 * C);
            f.copy(to, element(rows, row, 4 * C), 4 * C);
          });
        });
      },
    }],
  }),
  cpu([, rows, positions], [cache], { inputs: [{ shape: [, S, C] }, { shape: [, T] }] }) {
    positions.forEach((at, row) => {
      if (at >= S) return;
      cache.set(rows.subarray(row * C, (row + 1) * C), (Math.floor(row / T) * S + at) * C);
    });
  },
};

/**
 * Writes rows into a state, in place: cache[b, positions[b, t], :] = rows[b, t, :]. Rows whose position is S or more are
 * skipped. If several rows of a sample have the same position, it is unspecified which of them is kept. No gradient is
 * defined.
 *
 * @param cache [B, S, C], a state
 * @param rows [B, T, C]
 * @param positions u32 [B, T]
 * @returns the cache, [B, S, C]
 * @throws {UserError} if the shapes are inconsistent
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { cacheRows } from "../mod.ts";
 * const positions = input("positions", [2, 1], "u32");
 * const keys = cacheRows(state("keys", [2, 64, 128]), input("k", [2, 1, 128]), positions); // [2, 64, 128]
 * ```
 */
export function cacheRows(cache: Tensor, rows: Tensor, positions: Tensor): Tensor {
  return apply(cacheRowsOp, [cache, rows, positions], undefined)[0];
}
