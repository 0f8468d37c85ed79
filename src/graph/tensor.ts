// Symbolic tensors and the operations that create them. A model runs once on symbolic tensors, which builds a graph: each
// node refers to its inputs, so the tensors alone hold the graph.
import { maximum } from "../base/extremes.ts";
import { placed, UserError } from "../base/errors.ts";
import type { Simd } from "./simd.ts";

/** Element types: 32-bit floats (float64 on the float64 oracle) and 32-bit unsigned integers. */
export type DType = "f32" | "u32";

/** Shape and element type. */
export interface Spec {
  /** Sizes of its dimensions; [] for a scalar. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: DType;
}

/** Values of a tensor on the host: u32 as Uint32Array, f32 as Float32Array (Float64Array on the oracle). */
export type Values = Float32Array | Float64Array | Uint32Array;

/** Values of a float tensor. */
export type Floats = Float32Array | Float64Array;

/** A symbolic tensor: output `index` of `node`.
 * @category Tensors */
export interface Tensor extends Spec {
  /** The node that computes it. */
  readonly node: Node;
  /** Index among the node's outputs. */
  readonly index: number;
}

/**
 * One application of an operation. Sorting nodes by `order` gives a topological order: the order of creation, except for
 * operations with `early`.
 */
export interface Node {
  /** The operation. */
  readonly op: Op;
  /** The inputs of the operation. */
  readonly inputs: readonly Tensor[];
  /** The operation's attributes. */
  readonly attrs: unknown;
  /** The outputs of the operation. */
  readonly outputs: readonly Tensor[];
  /** A number that is greater than the order of every node on which this node depends. */
  readonly order: number;
  /** Names of the scopes in which the node was created, joined by dots. */
  readonly path: string;
}

/** Properties of the device for which an operation is lowered. */
export interface Target {
  /** `gpu`: kernels share tiles in workgroup memory. `software`: each invocation keeps a tile in registers. */
  readonly kind: "gpu" | "software";
  /** Maximum number of bytes of a buffer that a kernel may bind. */
  readonly maxBindingBytes: number;
  /** Maximum number of bytes of workgroup memory per workgroup. */
  readonly maxWorkgroupBytes: number;
  /**
   * The total number of loop iterations per invocation after which the adapter silently ends all loops; undefined if there
   * is no limit.
   */
  readonly maxIterations?: number;
}

/** A call of an operation: shapes, attributes and which outputs are needed. */
export interface Call<A = unknown> {
  /** Shapes and types of the inputs. */
  readonly inputs: readonly Spec[];
  /** Shapes and types of the outputs. */
  readonly outputs: readonly Spec[];
  /** The operation's attributes. */
  readonly attrs: A;
  /** For each output, whether it is read; an output that is not read need not be computed. */
  readonly needed: readonly boolean[];
}

/** A contiguous range of a tensor's elements. */
export interface ElementRange {
  /** Index of the first element, a multiple of 64. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
}

/** A buffer of a dispatch: the call's input, output or scratch buffer with this index, or a range of its elements. */
export type Ref = readonly ["input" | "output" | "scratch", number, ElementRange?];

/** One dispatch of a WGSL template (see `src/device/wgsl.ts`). */
export interface Dispatch {
  /** Name in errors and traces. */
  readonly label: string;
  /** The WGSL template. */
  readonly source: string;
  /** Constants by name: numbers become `u32`, booleans `bool`; strings are WGSL literals (see `wgslFloat`) or types. */
  readonly constants: Readonly<Record<string, number | boolean | string>>;
  /** Text for the template's `//! insert NAME` lines. */
  readonly code?: Readonly<Record<string, string>>;
  /** The buffer at each `@binding`; undefined if the template omits it. */
  readonly bindings: Readonly<Record<number, Ref | undefined>>;
  /** Number of workgroups in each dimension. */
  readonly workgroups: readonly [number, number, number];
  /**
   * For kernels with long loops: `count` is the maximum total number of loop iterations per invocation, and `of` names the
   * size on which it depends, such as "K = 70001".
   */
  readonly iterations?: { readonly count: number; readonly of: string };
}

/** How a call runs on a device: its dispatches and the scratch buffers that they share. */
export interface Lowered {
  /** The dispatches in execution order. */
  readonly dispatches: readonly Dispatch[];
  /** Sizes of the scratch buffers, in elements. */
  readonly scratch?: readonly number[];
}

/** Operations that the memory plan treats specially: sources, views and packs. */
export type Role = "input" | "state" | "constant" | "literal" | "view" | "pack";

/**
 * An operation. heed's operations are under kernels/. The members are methods, not function fields, so that `Op<A>` is
 * assignable to `Op`.
 * @category Tensors */
export interface Op<A = unknown> {
  /** Name in errors and traces. It need not be unique. */
  readonly name: string;
  /** Special treatment by the memory plan; undefined for an ordinary operation, which computes its outputs. */
  readonly role?: Role;
  /** Returns the shapes and types of the outputs; throws a `UserError` (see `mismatch`) for inputs that do not fit. */
  infer(inputs: readonly Spec[], attrs: A): readonly Spec[];
  /** Returns the dispatches that run a call on a WebGPU device. */
  lower(call: Call<A>, target: Target): Lowered;
  /**
   * Returns the same computation in WebAssembly, or undefined if there is none for this call. Without it, the CPU device
   * runs `cpu`. The computation must not write outputs that are not needed.
   */
  simd?(call: Call<A>): Simd | undefined;
  /** Runs the same computation on typed arrays. The reference device, which is also the oracle of tests, calls it. */
  cpu(inputs: readonly Values[], outputs: readonly Values[], call: Call<A>): void;
  /**
   * The vector-Jacobian product: returns the gradients of the inputs, given the gradients of the outputs. A gradient is
   * undefined if it is zero or not needed.
   */
  vjp?(
    node: Node,
    gradients: readonly (Tensor | undefined)[],
    needed: readonly boolean[],
  ): readonly (Tensor | undefined)[];
  /** Returns output 0 plus `addend`, computed by one kernel, or undefined if the kernel cannot fuse the addition. */
  fuseAdd?(node: Node, addend: Tensor): Tensor | undefined;
  /**
   * True if the operation runs as soon as its inputs are computed, so that they need not be kept in memory. Statistics use
   * this.
   */
  early?: true;
  /** Outputs that overwrite an input in memory: maps the index of an output to the index of its input. */
  inplace?: Readonly<Record<number, number>>;
  /** Returns the number of floating point operations of a call, for cost estimates and benchmarks. */
  flops?(call: Call<A>): number;
}

let created = 0;
const scopes: string[] = [];

/** Runs `build` with `name` appended to the path that errors of the operations inside it report. */
export function scope<T>(name: string, build: () => T): T {
  scopes.push(name);
  try {
    return build();
  } finally {
    scopes.pop();
  }
}

/** Throws unless `infer` returned specs: a user's operation may return anything. */
function checkSpecs(op: string, specs: unknown): void {
  const isSpec = (spec: Partial<Spec> | null) =>
    Array.isArray(spec?.shape) && ["f32", "u32"].includes(spec.dtype!);
  if (Array.isArray(specs) && specs.every(isSpec)) return;
  throw new UserError(`${op}: expected infer to return a list of { shape, dtype }, with dtype f32 or u32.`);
}

/** Throws unless every size is a positive integer, because no device binds an empty buffer. */
function checkSizes(op: string, attrs: unknown, specs: readonly Spec[]): void {
  const wrong = specs.find(({ shape }) => shape.some((n) => !Number.isInteger(n) || n < 1));
  if (!wrong) return;
  const name = (attrs as { name?: unknown } | undefined)?.name;
  const what = typeof name === "string" ? `${op} ${name}` : op;
  throw new UserError(
    `${what}: expected sizes that are integers of at least 1, found ${formatSpec(wrong)}.`,
  );
}

/**
 * Returns the order of the node that computes x: -1 for a source; for a view, the order of the node that computes the
 * view's input.
 */
function computedAt({ node }: Tensor): number {
  if (node.inputs.length === 0) return -1;
  return node.op.role === "view" ? computedAt(node.inputs[0]) : node.order;
}

/**
 * Applies an operation, which adds a node to the graph; returns the outputs of the node.
 *
 * @throws the errors of the operation's `infer`, and {UserError} if an output would have no elements
 * @category Tensors
 */
export function apply<A>(op: Op<A>, inputs: readonly Tensor[], attrs: A): readonly Tensor[] {
  const path = scopes.join(".");
  let specs: readonly Spec[];
  try {
    specs = op.infer(inputs, attrs);
    checkSpecs(op.name, specs);
    checkSizes(op.name, attrs, specs);
  } catch (error) {
    throw path ? placed(path, error) : error;
  }
  const outputs: Tensor[] = [];
  // An early node comes half a step after its last input, because the order of all other nodes is an integer.
  const order = op.early ? maximum(inputs.map(computedAt)) + 0.5 : created++;
  const node: Node = { op: op as Op, inputs, attrs, outputs, order, path };
  specs.forEach((spec, index) => outputs.push({ ...spec, node, index }));
  return outputs;
}

/** Returns the number of elements of a shape. */
export function sizeOf(spec: Spec | readonly number[]): number {
  const shape = "shape" in spec ? spec.shape : spec;
  return shape.reduce((product, n) => product * n, 1);
}

/** Formats a shape and type for messages, such as `f32[12, 64]`. */
export function formatSpec(spec: Spec): string {
  return `${spec.dtype}[${spec.shape.join(", ")}]`;
}

/** Throws the error for inputs that do not fit an operation; the message names the operation and every shape. */
export function mismatch(op: string, expected: string, inputs: readonly Spec[]): never {
  throw new UserError(`${op}: expected ${expected}, found ${inputs.map(formatSpec).join(" and ")}.`);
}

/** Formats a finite number as a WGSL literal of type f32; throws a RangeError for other numbers. */
export function wgslFloat(x: number): string {
  if (!Number.isFinite(x)) throw new RangeError(`A shader constant must be finite, found ${x}.`);
  return `${Math.fround(x)}f`;
}

/**
 * Returns the number of workgroups in each dimension for `n` invocations. If they exceed the limit of 65,535 in one
 * dimension, they are spread over two.
 */
export function workgroups1d(n: number, workgroupSize: number): [number, number, number] {
  const groups = Math.ceil(n / workgroupSize);
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}
