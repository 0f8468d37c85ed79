// Block masks in WebAssembly: the mask is evaluated for four keys at a time.
import type { Simd } from "../../../src/graph/simd.ts";
import {
  element,
  f32x4,
  type Func,
  type I32,
  i32,
  i32x4,
  int,
  lanes,
  select,
} from "../../../src/wasm/mod.ts";
import { v128 } from "../../../src/wasm/mod.ts";
import { toWasmCondition } from "../../expression/wasm.ts";
import { gather } from "../../simd/vectors.ts";
import { BLOCK, type BlockMaskAttrs } from "../sizes.ts";
import { helper, lesser } from "./tiles.ts";

/**
 * Returns the function (entry, b, h, i, j, tables) that writes to `entry` the state of the tile that begins at query i and key j.
 */
function tileState(f: Func, { mask, tables, T, S }: BlockMaskAttrs) {
  return helper(f, 5 + tables.length, (f, entry, b, h, i, j, ...inputs) => {
    const read = Object.fromEntries(tables.map((table, t) => [table, (at: Parameters<typeof gather>[1]) => {
      return gather(inputs[t], at);
    }]));
    const vector = (x: I32) => f.let(f32x4.fromS(i32x4.splat(x)));
    const variables = { b: vector(b), h: vector(h) };
    const [some, every] = [f.let(i32x4.splat(0)), f.let(i32x4.splat(-1))];
    f.loop(i, lesser(f, i32.add(i, BLOCK), T), 1, (i) => {
      const row = vector(i);
      f.loop(j, lesser(f, i32.add(j, BLOCK), S), 4, (j) => {
        const key = f.let(i32x4.add(i32x4.splat(j), lanes([0, 1, 2, 3])));
        const point = { ...variables, i: row, j: f.let(f32x4.fromS(key)) };
        const seen = f.let(toWasmCondition(mask, f, point, read));
        const inside = f.let(i32x4.ltS(key, S));
        f.set(some, v128.or(some, v128.and(seen, inside)));
        f.set(every, v128.and(every, v128.or(seen, v128.not(inside))));
      });
    });
    f.store(entry, select(v128.anyTrue(some), select(i32x4.allTrue(every), int(2), int(1)), int(0)));
  });
}

/** Returns the phases of `block_mask`. A block computes the states of all tiles of 32 queries of a head. */
export function blockMaskSimd(attrs: BlockMaskAttrs): Simd {
  const [B, H, rows, columns] = attrs.shape;
  return {
    phases: [{
      label: "block mask",
      blocks: B * H * rows,
      kernel(f, block, { inputs, outputs: [out] }) {
        const state = tileState(f, attrs);
        const head = f.let(i32.divU(block, rows));
        const i = f.let(i32.mul(i32.remU(block, rows), BLOCK));
        const entry = f.let(element(out, block, 4 * columns));
        f.loop(0, columns, 1, (c) => {
          const j = i32.mul(c, BLOCK);
          f.call(state, element(entry, c), i32.divU(head, H), i32.remU(head, H), i, j, ...inputs);
        });
      },
    }],
  };
}
