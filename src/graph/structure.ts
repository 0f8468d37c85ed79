// Tensors that compute nothing: sources (inputs, states, constants) and memory layout (views, packs). The memory plan
// recognises them by role; every other operation is under kernels/.
import { element, i32, load } from "../wasm/mod.ts";
import copyWgsl from "./copy.wgsl" with { type: "text" };
import type { Phase } from "./simd.ts";
import { bytePhase, copyPhase } from "./simd_copy.ts";
import { apply, mismatch, sizeOf, workgroups1d } from "./tensor.ts";
import type { Call, Dispatch, DType, Lowered, Op, Role, Spec, Tensor, Values } from "./tensor.ts";

export interface Named {
  readonly name: string;
  readonly spec: Spec;
}

const nothing = { lower: (): Lowered => ({ dispatches: [] }), cpu: (): void => {} };

/** Creates an operation without inputs. */
function sourceOp<A>(role: Role, specOf: (attrs: A) => Spec): Op<A> {
  return { name: role, role, infer: (_, attrs) => [specOf(attrs)], ...nothing };
}

const inputOp = sourceOp<Named>("input", ({ spec }) => spec);
const stateOp = sourceOp<Named>("state", ({ spec }) => spec);

/** Creates a tensor whose values are uploaded before each run of a program.
 * @category Tensors */
export function input(name: string, shape: readonly number[], dtype: DType = "f32"): Tensor {
  return apply(inputOp, [], { name, spec: { shape, dtype } })[0];
}

/** Creates a tensor that is kept on the device between runs, such as a parameter, an optimizer state or a table of metrics.
 * @category Tensors */
export function state(name: string, shape: readonly number[], dtype: DType = "f32"): Tensor {
  return apply(stateOp, [], { name, spec: { shape, dtype } })[0];
}

/** Attributes of a constant: the value of every element. */
export interface ConstantAttrs {
  readonly value: number;
  readonly shape: readonly number[];
}

const constantOp = sourceOp<ConstantAttrs>("constant", ({ shape }) => ({ shape, dtype: "f32" }));

/** Creates a tensor filled with one value, which is written once, when the program is compiled.
 * @category Tensors */
export function constant(value: number, shape: readonly number[] = [1]): Tensor {
  return apply(constantOp, [], { value, shape })[0];
}

export function constantValue(x: Tensor): number | undefined {
  return x.node.op.role === "constant" ? (x.node.attrs as ConstantAttrs).value : undefined;
}

export interface LiteralAttrs {
  readonly values: Values;
  readonly shape: readonly number[];
  readonly dtype: DType;
}

const literalOp = sourceOp<LiteralAttrs>("literal", ({ values, shape, dtype }) => {
  if (values.length !== sizeOf(shape)) {
    mismatch(`literal [${shape.join(", ")}]`, `${sizeOf(shape)} values, not ${values.length}`, []);
  }
  return { shape, dtype };
});

/** Creates a tensor with the given values, which are uploaded once, when the program is compiled. */
export function literal(values: Values, shape: readonly number[], dtype: DType = "f32"): Tensor {
  return apply(literalOp, [], { values, shape, dtype })[0];
}

export function literalValues(x: Tensor): Values | undefined {
  return x.node.op.role === "literal" ? (x.node.attrs as LiteralAttrs).values : undefined;
}

export interface ViewAttrs {
  readonly offset: number;
  readonly shape: readonly number[];
}

export const viewOp: Op<ViewAttrs> = {
  name: "view",
  role: "view",
  infer([x], { offset, shape }) {
    if (offset < 0 || offset + sizeOf(shape) > sizeOf(x) || offset % ALIGN !== 0) {
      mismatch(`view of [${shape.join(", ")}] at ${offset}`, `an aligned range inside the tensor`, [x]);
    }
    return [{ shape, dtype: x.dtype }];
  },
  ...nothing,
  vjp(node, [g]) {
    const [x] = node.inputs;
    if (!g || sizeOf(x) !== sizeOf(g)) {
      throw new Error("A view of a part has no gradient: take the gradient of the part.");
    }
    return [reshape(g, x.shape)];
  },
};

/** The offset of a tensor in a buffer is a multiple of this number of elements (256 bytes). */
export const ALIGN = 64;

/**
 * Returns a contiguous part of `x` with another shape, without a copy. `offset` is the index of the part's first element, a
 * multiple of 64.
 */
export function view(x: Tensor, shape: readonly number[], offset = 0): Tensor {
  return apply(viewOp, [x], { offset, shape })[0];
}

/** Returns the same elements with another shape, without a copy.
 * @category Tensors */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  if (sizeOf(shape) !== sizeOf(x)) {
    mismatch("reshape", `${sizeOf(shape)} elements for [${shape.join(", ")}]`, [x]);
  }
  return view(x, shape);
}

export interface PackAttrs {
  readonly offsets: readonly number[];
  readonly size: number;
}

/** Returns the dispatch that copies the `length` elements of the input with index `from`: output[offset + i] = input[i]. */
function copyDispatch(from: number, length: number, offset: number): Dispatch {
  return {
    label: "copy",
    source: copyWgsl,
    constants: { LENGTH: length, OFFSET: offset, WORKGROUP: 64 },
    bindings: { 0: ["input", from], 1: ["output", 0] },
    workgroups: workgroups1d(length, 64),
  };
}

/** Returns the phase that makes the same copy in WebAssembly. */
const copiedInput = (label: string, from: number, length: number, offset: number): Phase =>
  copyPhase(label, length, ({ inputs, outputs: [out] }) => {
    return { to: i32.add(out, 4 * offset), from: inputs[from] };
  });

/**
 * Lays out tensors in one buffer. Where possible, the memory plan lets the operations that compute the inputs write
 * directly to this buffer. The other inputs, which are not marked in `placed`, are copied.
 */
const packOp: Op<PackAttrs> = {
  name: "pack",
  role: "pack",
  infer(inputs, { offsets, size }) {
    const parts = offsets.map((offset, i) => ({ offset, end: offset + sizeOf(inputs[i]) }));
    parts.sort((a, b) => a.offset - b.offset);
    const apart = parts.every(({ offset }, i) => offset >= (parts[i - 1]?.end ?? 0)) &&
      (parts.at(-1)?.end ?? 0) <= size;
    if (!apart || inputs.some((x) => x.dtype !== inputs[0].dtype)) {
      mismatch(
        `pack at ${offsets.join(", ")} of ${size}`,
        "tensors of one type, disjoint and inside the pack",
        inputs,
      );
    }
    return [{ shape: [size], dtype: inputs[0].dtype }];
  },
  lower: (call) => ({
    dispatches: call.inputs.flatMap((x, i) =>
      (call as PackCall).placed?.[i] ? [] : [copyDispatch(i, sizeOf(x), call.attrs.offsets[i])]
    ),
  }),
  simd: (call) => ({
    phases: call.inputs.flatMap((x, i) =>
      (call as PackCall).placed?.[i] ? [] : [copiedInput("pack", i, sizeOf(x), call.attrs.offsets[i])]
    ),
  }),
  cpu(inputs: readonly Values[], [out], { attrs }) {
    inputs.forEach((x, i) => (out as Float32Array).set(x as Float32Array, attrs.offsets[i]));
  },
};

/** A call of pack; `placed` marks the inputs that are already in the pack's buffer. */
export interface PackCall extends Call<PackAttrs> {
  placed?: readonly boolean[];
}

/** Lays out tensors in one flat tensor of `size` elements; the gaps between them are zero. */
export function pack(inputs: readonly Tensor[], offsets: readonly number[], size: number): Tensor {
  return apply(packOp, inputs, { offsets, size })[0];
}

/** Writes a row of values into row `slot` of a state, in place: state[slot, :] = row. */
export const recordOp: Op<{ readonly width: number }> = {
  name: "record",
  inplace: { 0: 0 },
  infer([table, row, slot], { width }) {
    const fits = sizeOf(row) === width && table.shape[1] === width && row.dtype === table.dtype;
    if (!fits || slot.dtype !== "u32") {
      mismatch("record", "a table [rows, width], a row [width] of its type and a slot u32[1]", [
        table,
        row,
        slot,
      ]);
    }
    return [table];
  },
  lower: ({ attrs }) => ({
    dispatches: [{
      label: "record",
      source: copyWgsl,
      constants: { LENGTH: attrs.width, OFFSET: 0, WORKGROUP: 64, SLOTTED: true },
      bindings: { 0: ["input", 1], 1: ["output", 0], 2: ["input", 2] },
      workgroups: workgroups1d(attrs.width, 64),
    }],
  }),
  simd: ({ inputs: [{ shape: [rows] }], attrs: { width } }) => ({
    phases: [bytePhase("record", width, (f, first, bytes, { inputs: [, row, slot], outputs: [table] }) => {
      const at = f.let(load("i32", slot));
      f.if(i32.ltU(at, rows), () => {
        f.copy(i32.add(element(table, at, 4 * width), first), i32.add(row, first), bytes);
      });
    })],
  }),
  cpu([_, row, slot], [out], { attrs }) {
    (out as Float32Array).set(row as Float32Array, slot[0] * attrs.width);
  },
};

/** Writes `row` [width] into row `slot` (u32[1]) of the state `table` [rows, width]. */
export function record(table: Tensor, row: Tensor, slot: Tensor): Tensor {
  return apply(recordOp, [table, row, slot], { width: sizeOf(row) })[0];
}

const assignOp: Op<{ readonly offset: number }> = {
  name: "assign",
  inplace: { 0: 0 },
  infer([target, part], { offset }) {
    if (offset + sizeOf(part) > sizeOf(target) || part.dtype !== target.dtype) {
      mismatch(`assign at ${offset}`, "a tensor and a part that fits into it", [target, part]);
    }
    return [target];
  },
  lower: ({ inputs: [_, part], attrs }) => ({ dispatches: [copyDispatch(1, sizeOf(part), attrs.offset)] }),
  simd: ({ inputs: [_, part], attrs }) => ({
    phases: [copiedInput("assign", 1, sizeOf(part), attrs.offset)],
  }),
  cpu: ([_, part], [out], { attrs }) => (out as Float32Array).set(part as Float32Array, attrs.offset),
};

/** Overwrites elements of the state `target`, starting at element `offset`, with `part`, in place; returns the new state. */
export function assign(target: Tensor, part: Tensor, offset = 0): Tensor {
  return apply(assignOp, [target, part], { offset })[0];
}
