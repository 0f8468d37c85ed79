// The static memory plan: where every tensor of a graph is stored, which tensors share memory, and in which order nodes run.
// It is computed once, before the first step, and differs between devices only in the scratch buffers of their kernels.
import { UserError } from "../base/errors.ts";
import { ancestors } from "../graph/gradient.ts";
import type { Simd } from "../graph/simd.ts";
import type { PackAttrs, PackCall } from "../graph/structure.ts";
import type { Call, Dispatch, Lowered, Node, Target, Tensor } from "../graph/tensor.ts";
import { checkOrder } from "./aliasing.ts";
import { computesNothing, placesFor, UNALLOCATED } from "./allocation.ts";
import type { Buffer, BufferSlice, Places } from "./allocation.ts";

export type { Buffer, BufferSlice };

/** What a program computes: `outputs` can be read by name, `effects` run for their in-place writes. */
export interface Graph {
  /** Tensors that can be read after a run. */
  readonly outputs?: Readonly<Record<string, Tensor>>;
  /** Tensors computed for the in-place writes of their nodes. */
  readonly effects?: readonly Tensor[];
}

/** A node to run, with everything about it that does not change between runs. */
export interface Step {
  /** The node. */
  readonly node: Node;
  /** Shapes and attributes with which the node's operation is called. */
  readonly call: Call;
  /** The node's dispatches; there are none on the CPU. */
  readonly lowered: Lowered;
  /** The node's phases in WebAssembly; undefined on devices other than `cpu`, and for an operation that has no phases. */
  readonly simd: Simd | undefined;
  /** Memory of the node's inputs. */
  readonly inputs: readonly BufferSlice[];
  /** Memory of the node's outputs. */
  readonly outputs: readonly BufferSlice[];
  /** Memory of the scratch buffers of the node's dispatches or phases. */
  readonly scratch: readonly BufferSlice[];
}

/** Bytes of device memory by use. */
export interface Memory {
  /** Parameters, optimizer states and tables, which are kept between runs. */
  readonly states: number;
  /** Inputs and constants. */
  readonly inputs: number;
  /** Computed tensors. */
  readonly activations: number;
}

/** A program before it is compiled for a device. */
export interface Plan {
  /** Nodes in execution order. */
  readonly steps: readonly Step[];
  /** All buffers, each once. */
  readonly buffers: readonly Buffer[];
  /** Memory of the outputs by name. */
  readonly outputs: Readonly<Record<string, BufferSlice>>;
  /** Bytes by use. */
  readonly memory: Memory;
  /** Floating point operations per run. */
  readonly flops: number;
  /** Number of dispatches per run; 0 on the CPU. */
  readonly dispatches: number;
}

/** Throws if a dispatch exceeds the adapter's limit of loop iterations, because the adapter would silently end the loops. */
function checkIterations(
  { label, iterations }: Dispatch,
  path: string,
  { maxIterations = Infinity }: Target,
): void {
  if (!iterations || iterations.count <= maxIterations) return;
  const [most, count] = [maxIterations, iterations.count].map((n) => n.toLocaleString("en-US"));
  throw new UserError(
    `${path ? `${path}: ` : ""}${label}: ${iterations.of} exceeds what the software adapter computes ` +
      `(${most} iterations of a kernel's loops, this one takes ${count}): use the CPU or a GPU.`,
  );
}

function callOf(
  node: Node,
  read: ReadonlySet<Tensor>,
  inputs: readonly BufferSlice[],
  places: Places,
): Call {
  const call: Call = {
    inputs: node.inputs,
    outputs: node.outputs,
    attrs: node.attrs,
    needed: node.outputs.map((y) => read.has(y)),
  };
  if (node.op.role !== "pack") return call;
  const packed = places.of(node.outputs[0]);
  const { offsets } = node.attrs as PackAttrs;
  const placed = inputs.map(({ buffer, offset }, i) => {
    return buffer === packed.buffer && offset === packed.offset + offsets[i];
  });
  return { ...call, placed } as PackCall;
}

function stepOf(node: Node, read: ReadonlySet<Tensor>, places: Places, target?: Target | "simd"): Step {
  const inputs = node.inputs.map(places.of);
  const call = callOf(node, read, inputs, places);
  const gpu = target === "simd" ? undefined : target;
  const simd = target === "simd" ? node.op.simd?.(call) : undefined;
  const lowered = gpu ? node.op.lower(call, gpu) : { dispatches: [], scratch: simd?.scratch };
  if (gpu) { for (const dispatch of lowered.dispatches) checkIterations(dispatch, node.path, gpu); }
  const binds = (output: number): boolean =>
    lowered.dispatches.some(({ bindings }) =>
      Object.values(bindings).some((ref) => ref?.[0] === "output" && ref[1] === output)
    );
  // An output that nothing reads gets no memory if the kernels do not write it; the TypeScript implementations (`cpu`) write all
  // outputs. An output that overwrites an input has the memory of that input.
  const omits = (output: number): boolean =>
    !call.needed[output] && node.op.inplace?.[output] === undefined &&
    (simd !== undefined || (gpu !== undefined && !binds(output)));
  const outputs = node.outputs.map((y, i) => omits(i) ? UNALLOCATED : places.of(y));
  return { node, call, lowered, simd, inputs, outputs, scratch: (lowered.scratch ?? []).map(places.scratch) };
}

/**
 * Plans a graph: the order of its nodes, and memory for every tensor. If `target` is a GPU target, the plan also has the
 * dispatches of every node. If it is "simd", the plan has the WebAssembly phases of every node. Without a target (for the
 * reference device), the plan has neither.
 *
 * Tensors whose lifetimes do not overlap share buffers. A tensor never shares a buffer with an input of the kernel that
 * computes it, because WebGPU forbids a dispatch to read and write one buffer; the inputs of a `pack` are computed
 * directly in the pack's buffer.
 *
 * @throws {Error} if a tensor is read after it was replaced in place, or one name has two shapes
 * @throws {UserError} if a kernel's loops exceed the target's limit of iterations
 */
export function plan(graph: Graph, target?: Target | "simd"): Plan {
  const known = plans.get(graph) ?? new Map<Target | "simd" | undefined, Plan>();
  plans.set(graph, known);
  const planned = known.get(target) ?? planOf(graph, target);
  known.set(target, planned);
  return planned;
}

/**
 * Cache of plans by graph: estimating the cost of a run, choosing its device and compiling its programs all use the same
 * plans.
 */
const plans = new WeakMap<Graph, Map<Target | "simd" | undefined, Plan>>();

function planOf(graph: Graph, target?: Target | "simd"): Plan {
  const outputs = graph.outputs ?? {};
  const roots = [...Object.values(outputs), ...(graph.effects ?? [])];
  const nodes = ancestors(roots);
  checkOrder(nodes, outputs);
  const read = new Set([...roots, ...nodes.flatMap((node) => node.inputs)]);
  const places = placesFor(nodes, roots);
  const steps: Step[] = [];
  nodes.forEach((node, index) => {
    if (computesNothing(node.op)) return;
    const step = stepOf(node, read, places, target);
    steps.push(step);
    places.release(node, index, step.scratch);
  });
  const readable = Object.fromEntries(Object.entries(outputs).map(([name, x]) => [name, places.of(x)]));
  const buffers = places.buffers();
  const bytes = (...kinds: string[]) =>
    buffers.filter((b) => kinds.includes(b.kind)).reduce((sum, b) => sum + 4 * b.size, 0);
  return {
    steps,
    buffers,
    outputs: readable,
    memory: { states: bytes("state"), inputs: bytes("input", "constant"), activations: bytes("arena") },
    flops: steps.reduce((sum, { node, call }) => sum + (node.op.flops?.(call) ?? 0), 0),
    dispatches: steps.reduce((sum, step) => sum + step.lowered.dispatches.length, 0),
  };
}
