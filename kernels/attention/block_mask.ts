// A block mask marks the tiles of the attention matrix that are empty, which kernels skip, and the tiles that are full, in which
// kernels need not evaluate the mask. It is computed on the host if the mask's tables are known there, else on the device.
import { apply, type Op, type Tensor, workgroups1d } from "../../src/graph/tensor.ts";
import { literal, literalValues } from "../../src/graph/structure.ts";
import { type Bounds, bounds } from "../expression/bounds.ts";
import { toFunction, variablesOf } from "../expression/expression.ts";
import { WGSL_FUNCTIONS } from "../expression/wgsl.ts";
import blocksWgsl from "./block_mask.wgsl" with { type: "text" };
import { maskCode } from "./dispatch.ts";
import type { Mask } from "./modifier.ts";
import { blockMaskSimd } from "./simd/blocks.ts";
import { type AttentionSizes, BLOCK, type BlockMaskAttrs } from "./sizes.ts";

export const blockMaskOp: Op<BlockMaskAttrs> = {
  name: "block_mask",
  infer: (_, { shape }) => [{ shape, dtype: "u32" }],
  lower({ attrs: { mask, tables, shape, T, S } }) {
    const [B, H, rows, columns] = shape;
    const declared = tables.map((name, i) => {
      return `@group(0) @binding(${i + 1}) var<storage, read> table_${name}: array<f32>;`;
    });
    return {
      dispatches: [{
        label: "block mask",
        source: blocksWgsl,
        constants: { BLOCK_B: B, BLOCK_H: H, QUERY_BLOCKS: rows, KEY_BLOCKS: columns, BLOCK, T, S },
        code: { EXTRAS: [...declared, WGSL_FUNCTIONS].join("\n"), MASK: maskCode(mask) },
        bindings: Object.fromEntries([[0, ["output", 0]], ...tables.map((_, i) => [i + 1, ["input", i]])]),
        workgroups: workgroups1d(B * H * rows * columns, 8),
      }],
    };
  },
  simd: ({ attrs }) => blockMaskSimd(attrs),
  cpu(inputs, [out], { attrs: { mask, tables, shape, T, S } }) {
    const visible = toFunction(mask, ["b", "h", "i", "j", ...tables]);
    const [, H, rows, columns] = shape;
    for (let at = 0; at < out.length; at++) {
      const [j0, i0] = [(at % columns) * BLOCK, (Math.floor(at / columns) % rows) * BLOCK];
      const bh = Math.floor(at / (columns * rows));
      let [some, every] = [false, true];
      for (let i = i0; i < Math.min(i0 + BLOCK, T); i++) {
        for (let j = j0; j < Math.min(j0 + BLOCK, S); j++) {
          const seen = visible(Math.floor(bh / H), bh % H, i, j, ...inputs) !== 0;
          some ||= seen;
          every &&= seen;
        }
      }
      out[at] = some ? every ? 2 : 1 : 0;
    }
  },
};

/** Computes the block mask on the host, by interval arithmetic on each tile. All tables of the mask must be known on the host. */
function hostBlocks(
  { expression, tables }: Mask,
  shape: readonly number[],
  { T, S }: AttentionSizes,
): Uint32Array {
  const [B, H, rows, columns] = shape;
  const values = Object.fromEntries(
    Object.entries(tables).map(([name, tensor]) => [name, literalValues(tensor)]),
  );
  const blocks = new Uint32Array(B * H * rows * columns);
  for (let at = 0; at < blocks.length; at++) {
    const [j0, i0] = [(at % columns) * BLOCK, (Math.floor(at / columns) % rows) * BLOCK];
    const bh = Math.floor(at / (columns * rows));
    const point = (x: number): Bounds => [x, x];
    const [low, high] = bounds(expression, {
      b: point(Math.floor(bh / H)),
      h: point(bh % H),
      i: [i0, Math.min(i0 + BLOCK, T) - 1],
      j: [j0, Math.min(j0 + BLOCK, S) - 1],
    }, values);
    blocks[at] = low > 0 || high < 0 ? 2 : low === 0 && high === 0 ? 0 : 1;
  }
  return blocks;
}

/** Returns the block mask of a mask, or undefined if there is only one tile, or if the host finds no empty or full tile. */
export function blockMask(mask: Mask, sizes: AttentionSizes): Tensor | undefined {
  const { B, T, S, H } = sizes;
  if (T <= BLOCK && S <= BLOCK) return undefined;
  const vars = variablesOf(mask.expression);
  const shape = [vars.has("b") ? B : 1, vars.has("h") ? H : 1, Math.ceil(T / BLOCK), Math.ceil(S / BLOCK)];
  const tensors = Object.values(mask.tables);
  if (tensors.some((tensor) => !literalValues(tensor))) {
    return apply(blockMaskOp, tensors, {
      mask: mask.expression,
      tables: Object.keys(mask.tables),
      shape,
      T,
      S,
    })[0];
  }
  const blocks = hostBlocks(mask, shape, sizes);
  return blocks.every((state) => state === 1) ? undefined : literal(blocks, shape, "u32");
}
