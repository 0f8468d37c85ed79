// Symbolic tensors and the operations that make them. A model runs once on these and leaves a graph: nodes that know
// their inputs, so that nothing but the tensors themselves has to be kept.
import { maximum } from "../base/extremes.ts";
import { placed, UserError } from "../base/errors.ts";

/** Element types: 32-bit floats (float64 on the oracle) and 32-bit unsigned integers. */
export type DType = "f32" | "u32";

/** Shape and element type. */
export interface Spec {
  /** Sizes of its dimensions; none for a single number. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: DType;
}

/** Numbers of a tensor on the host: u32 as Uint32Array, f32 as Float32Array (Float64Array on the oracle). */
export type Values = Float32Array | Float64Array | Uint32Array;

/** A float tensor's numbers. */
export type Floats = Float32Array | Float64Array;

/** A symbolic tensor: output `index` of `node`.
 * @category Tensors */
export interface Tensor extends Spec {
  /** The node that makes it. */
  readonly node: Node;
  /** Which of the node's outputs it is. */
  readonly index: number;
}

/** One application of an operation. `order` is a topological order: that of creation, but for what runs early. */
export interface Node {
  /** What is applied. */
  readonly op: Op;
  /** What it is applied to. */
  readonly inputs: readonly Tensor[];
  /** The operation's attributes. */
  readonly attrs: unknown;
  /** What it makes. */
  readonly outputs: readonly Tensor[];
  /** Above that of everything it is computed from. */
  readonly order: number;
  /** Names of the scopes it was made in, joined by dots. */
  readonly path: string;
}

/** What a device says of itself to the operations that lower themselves to it. */
export interface Target {
  /** `gpu`: workgroup tiles. `software`: register tiles, one invocation a lane of the processor. */
  readonly kind: "gpu" | "software";
  /** Bytes of the largest buffer that a kernel may be given. */
  readonly maxBindingBytes: number;
  /** Bytes of workgroup memory. */
  readonly maxWorkgroupBytes: number;
  /** Iterations that all loops of an invocation may take together before the adapter silently stops them; undefined: any. */
  readonly maxIterations?: number;
}

/** What an operation is asked to compute: shapes, attributes and, while lowering, the target. */
export interface Call<A = unknown> {
  /** Shapes and types of the inputs. */
  readonly inputs: readonly Spec[];
  /** Shapes and types of the outputs. */
  readonly outputs: readonly Spec[];
  /** The operation's attributes. */
  readonly attrs: A;
  /** Which outputs anything reads: an unread one need not be computed. */
  readonly needed: readonly boolean[];
}

/** Elements of a tensor that lie together: the first, a multiple of 64, and how many. */
export interface ElementRange {
  /** The first. */
  readonly offset: number;
  /** How many. */
  readonly size: number;
}

/** A buffer of a dispatch: an input, an output or a scratch buffer of the call, or a range of it. */
export type Ref = readonly ["input" | "output" | "scratch", number, ElementRange?];

/** One dispatch of a WGSL template (see `src/device/wgsl.ts`). */
export interface Dispatch {
  /** Name in errors and traces. */
  readonly label: string;
  /** The WGSL template. */
  readonly source: string;
  /** Integers become `u32`, booleans `bool`, strings are WGSL literals (see `wgslFloat`) or types. */
  readonly constants: Readonly<Record<string, number | boolean | string>>;
  /** Text for the template's `//! insert NAME` lines. */
  readonly code?: Readonly<Record<string, string>>;
  /** What stands at each `@binding`; undefined where the template leaves one out. */
  readonly bindings: Readonly<Record<number, Ref | undefined>>;
  /** Workgroups in each dimension. */
  readonly workgroups: readonly [number, number, number];
  /** Where a size makes loops long: the most iterations that all loops of one invocation take, and that size ("K = 70001"). */
  readonly iterations?: { readonly count: number; readonly of: string };
}

/** How a call runs on a device: dispatches in order, and the sizes (elements) of the scratch buffers they share. */
export interface Lowered {
  /** In the order they run. */
  readonly dispatches: readonly Dispatch[];
  /** Sizes of the scratch buffers, in elements. */
  readonly scratch?: readonly number[];
}

/** What operations are that the memory plan treats in ways of their own: the sources, a view of its input, a pack. */
export type Role = "input" | "state" | "constant" | "literal" | "view" | "pack";

/** An operation: one folder under kernels/, four questions. Methods, so that `Op<A>` is an `Op`.
 * @category Tensors */
export interface Op<A = unknown> {
  /** Name in errors and traces; any word, also one that another operation has. */
  readonly name: string;
  /** What it is where it computes nothing by itself; undefined for every operation that computes its outputs. */
  readonly role?: Role;
  /** Output shapes, or a `UserError` through `mismatch`. */
  infer(inputs: readonly Spec[], attrs: A): readonly Spec[];
  /** Its dispatches on a WebGPU device. */
  lower(call: Call<A>, target: Target): Lowered;
  /** The same mathematics over typed arrays: the oracle, and the CPU device. */
  cpu(inputs: readonly Values[], outputs: readonly Values[], call: Call<A>): void;
  /** Gradients of the inputs from those of the outputs (undefined: zero, or not needed). */
  vjp?(
    node: Node,
    gradients: readonly (Tensor | undefined)[],
    needed: readonly boolean[],
  ): readonly (Tensor | undefined)[];
  /** The same node with `addend` added to output 0, where the kernel can do it on its way out. */
  withAddend?(node: Node, addend: Tensor): Tensor | undefined;
  /** It only looks at its inputs: it runs as soon as they are computed, so that none has to be kept for it. */
  early?: true;
  /** Outputs that replace an input in memory: output index to input index. */
  inplace?: Readonly<Record<number, number>>;
  /** Floating point operations of the call, for cost estimates and benchmarks. */
  flops?(call: Call<A>): number;
}

let created = 0;
const scopes: string[] = [];

/** Runs `build` with `name` appended to the path that errors of the operations inside it will tell. */
export function scope<T>(name: string, build: () => T): T {
  scopes.push(name);
  try {
    return build();
  } finally {
    scopes.pop();
  }
}

/** An operation of a user's may infer anything. */
function checkSpecs(op: string, specs: unknown): void {
  const isSpec = (spec: Partial<Spec> | null) =>
    Array.isArray(spec?.shape) && ["f32", "u32"].includes(spec.dtype!);
  if (Array.isArray(specs) && specs.every(isSpec)) return;
  throw new UserError(`${op}: expected infer to give a list of { shape, dtype }, with dtype f32 or u32.`);
}

/** No device binds a buffer of no bytes, and no kernel means anything by half an element. */
function checkSizes(op: string, attrs: unknown, specs: readonly Spec[]): void {
  const wrong = specs.find(({ shape }) => shape.some((n) => !Number.isInteger(n) || n < 1));
  if (!wrong) return;
  const name = (attrs as { name?: unknown } | undefined)?.name;
  const what = typeof name === "string" ? `${op} ${name}` : op;
  throw new UserError(
    `${what}: expected sizes that are whole numbers of at least 1, found ${formatSpec(wrong)}.`,
  );
}

/** When x is computed: sources are there from the start, a view with what it shows. */
function computedAt({ node }: Tensor): number {
  if (node.inputs.length === 0) return -1;
  return node.op.role === "view" ? computedAt(node.inputs[0]) : node.order;
}

/**
 * Applies an operation: a new node of the graph.
 *
 * @throws what the operation's `infer` throws, and {UserError} where an output would have no elements
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
  // Half a place behind its last input: nothing else stands there.
  const order = op.early ? maximum(inputs.map(computedAt)) + 0.5 : created++;
  const node: Node = { op: op as Op, inputs, attrs, outputs, order, path };
  specs.forEach((spec, index) => outputs.push({ ...spec, node, index }));
  return outputs;
}

/** Number of elements of a shape. */
export function sizeOf(spec: Spec | readonly number[]): number {
  const shape = "shape" in spec ? spec.shape : spec;
  return shape.reduce((product, n) => product * n, 1);
}

/** `f32[12, 64]`, for messages. */
export function formatSpec(spec: Spec): string {
  return `${spec.dtype}[${spec.shape.join(", ")}]`;
}

/** Throws the error of an operation whose inputs do not fit, naming the operation and every shape. */
export function mismatch(op: string, expected: string, inputs: readonly Spec[]): never {
  throw new UserError(`${op}: expected ${expected}, found ${inputs.map(formatSpec).join(" and ")}.`);
}

/** A finite number as a WGSL literal of type f32; a RangeError for any other. */
export function wgslFloat(x: number): string {
  if (!Number.isFinite(x)) throw new RangeError(`A shader constant must be finite, found ${x}.`);
  return `${Math.fround(x)}f`;
}

/** Workgroups for `n` invocations in a line, folded into a second dimension past the limit of 65,535. */
export function workgroups1d(n: number, workgroupSize: number): [number, number, number] {
  const groups = Math.ceil(n / workgroupSize);
  const y = Math.ceil(groups / 65535);
  return [Math.ceil(groups / y), y, 1];
}
