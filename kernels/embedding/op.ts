// Looks up rows of a table by id. For the gradient of the table, the tokens with the same id are linked into a list and their
// gradients are added in order, so that the result is deterministic and no atomics are needed.
import { apply, mismatch, sizeOf, workgroups1d } from "../../src/graph/tensor.ts";
import type { Dispatch, Op, Ref, Tensor } from "../../src/graph/tensor.ts";
import { itemsOf, rowParts } from "../row_parts.ts";
import chainWgsl from "./chain.wgsl" with { type: "text" };
import gatherWgsl from "./gather.wgsl" with { type: "text" };
import { embeddingBackwardSimd, embeddingSimd } from "./simd.ts";
import startWgsl from "./start.wgsl" with { type: "text" };
import sumWgsl from "./sum.wgsl" with { type: "text" };

/** Attributes of the operation that computes the gradient of the table. Its inputs are ids, dy and an optional addend. */
export interface EmbeddingBackwardAttrs {
  /** Number of rows of the table, V. */
  readonly rows: number;
}

/** Output: the selected rows, [...shape of ids, D]. */
export const embeddingOp: Op = {
  name: "embedding",
  infer(inputs) {
    const [table, ids] = inputs;
    if (table.shape.length !== 2 || sizeOf(table) === 0 || table.dtype !== "f32" || ids.dtype !== "u32") {
      mismatch("embedding", "table f32[V, D] and ids u32[...]", inputs);
    }
    return [{ shape: [...ids.shape, table.shape[1]], dtype: "f32" }];
  },
  lower({ inputs: [table, ids] }, { maxBindingBytes }) {
    const [rows, size] = table.shape;
    const constants = { TOKENS: sizeOf(ids), V: rows, ...itemsOf(size) };
    return {
      dispatches: rowParts(rows, size, maxBindingBytes).map((part): Dispatch => ({
        label: "embedding",
        source: gatherWgsl,
        constants: { ...constants, PART: part.range !== undefined, FIRST: part.first, ROWS: part.rows },
        bindings: { 0: ["input", 0, part.range], 1: ["input", 1], 2: ["output", 0] },
        workgroups: workgroups1d(constants.TOKENS * constants.WIDTH, 64),
      })),
    };
  },
  simd: embeddingSimd,
  cpu([table, ids], [y], { inputs: [{ shape: [rows, size] }] }) {
    for (let n = 0; n < ids.length; n++) {
      const from = Math.min(ids[n], rows - 1) * size;
      for (let i = 0, to = n * size; i < size; i++) y[to + i] = table[from + i];
    }
  },
  vjp(node, [dy], [needed]) {
    const [table, ids] = node.inputs;
    return [
      needed ? apply(embeddingBackwardOp, [ids, dy!], { rows: table.shape[0] })[0] : undefined,
      undefined,
    ];
  },
};

/** Output: the gradient of the table [V, D], plus the addend if there is one. */
export const embeddingBackwardOp: Op<EmbeddingBackwardAttrs> = {
  name: "embedding_backward",
  infer: ([, dy], { rows }) => [{ shape: [rows, dy.shape.at(-1)!], dtype: "f32" }],
  lower({ inputs: [ids, , addend], outputs: [{ shape: [rows, size] }] }) {
    const constants = { TOKENS: sizeOf(ids), V: rows, ...itemsOf(size) };
    const { TOKENS, V, WIDTH } = constants;
    const start: Record<number, Ref> = { 0: ["output", 0], 1: ["scratch", 0] };
    if (addend) start[2] = ["input", 2];
    return {
      scratch: [TOKENS, TOKENS],
      dispatches: [{
        label: "embedding_backward_start",
        source: startWgsl,
        constants: { ...constants, ADDEND: !!addend },
        bindings: start,
        workgroups: workgroups1d(Math.max(TOKENS, V * WIDTH), 64),
      }, {
        label: "embedding_backward_chain",
        source: chainWgsl,
        constants: { TOKENS, V },
        bindings: { 0: ["input", 0], 1: ["scratch", 0], 2: ["scratch", 1] },
        workgroups: workgroups1d(TOKENS, 64),
      }, {
        label: "embedding_backward",
        source: sumWgsl,
        constants,
        bindings: {
          0: ["input", 0],
          1: ["scratch", 0],
          2: ["scratch", 1],
          3: ["input", 1],
          4: ["output", 0],
        },
        workgroups: workgroups1d(TOKENS * WIDTH, 64),
      }],
    };
  },
  simd: embeddingBackwardSimd,
  cpu([ids, dy, addend], [dtable], { outputs: [{ shape: [rows, size] }] }) {
    if (addend) dtable.set(addend);
    else dtable.fill(0);
    for (let n = 0; n < ids.length; n++) {
      const to = Math.min(ids[n], rows - 1) * size;
      for (let i = 0, from = n * size; i < size; i++) dtable[to + i] += dy[from + i];
    }
  },
  fuseAdd(node, addend) {
    return node.inputs.length === 2
      ? apply(embeddingBackwardOp, [...node.inputs, addend], node.attrs as EmbeddingBackwardAttrs)[0]
      : undefined;
  },
  flops: ({ inputs: [, dy] }) => sizeOf(dy),
};

/**
 * Looks up rows of a table by id: y[..., :] = table[ids[...], :].
 *
 * The gradient of row v of the table is the sum of the gradients of the tokens with id v, in the order of the tokens. An id of
 * V or more is treated as V - 1, also in the gradient; callers must check ids before they upload them.
 *
 * @param table [V, D]
 * @param ids u32 of any shape, usually [N] or [B, T]
 * @returns the selected rows, [...shape of ids, D]
 * @throws {UserError} if the table is not a matrix of f32 or the ids are not u32
 *
 * @example
 * ```ts
 * import { input } from "../../mod.ts";
 * import { embedding } from "../mod.ts";
 * const y = embedding(input("table", [65, 128]), input("ids", [12, 64], "u32")); // [12, 64, 128]
 * ```
 */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return apply(embeddingOp, [table, ids], undefined)[0];
}
