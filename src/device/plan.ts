// The static memory plan: where every tensor of a graph lies, which tensors share memory, in which order nodes run.
// Made once, before the first step; the same for every device but for the scratch buffers of its kernels.
import { UserError } from "../base/errors.ts";
import { ancestors } from "../graph/gradient.ts";
import type { PackAttrs, PackCall } from "../graph/structure.ts";
import type { Call, Dispatch, Lowered, Node, Target, Tensor } from "../graph/tensor.ts";
import { checkOrder } from "./aliasing.ts";
import { computesNothing, placesFor, UNALLOCATED } from "./allocation.ts";
import type { Buffer, BufferSlice, Places } from "./allocation.ts";

export type { Buffer, BufferSlice };

/** What a program computes: `outputs` may be read by name, `effects` are nodes run for what they write in place. */
export interface Graph {
  /** Tensors that may be read after a run. */
  readonly outputs?: Readonly<Record<string, Tensor>>;
  /** Tensors computed for what their nodes write in place. */
  readonly effects?: readonly Tensor[];
}

/** One node to run, with everything about it that does not change. */
export interface Step {
  /** The node. */
  readonly node: Node;
  /** What its operation was asked. */
  readonly call: Call;
  /** Its dispatches; none on the CPU. */
  readonly lowered: Lowered;
  /** Where its inputs lie. */
  readonly inputs: readonly BufferSlice[];
  /** Where its outputs lie. */
  readonly outputs: readonly BufferSlice[];
  /** Where its dispatches' scratch buffers lie. */
  readonly scratch: readonly BufferSlice[];
}

/** Bytes of device memory by use. */
export interface Memory {
  /** Parameters, optimizer, tables: what lives between runs. */
  readonly states: number;
  /** Inputs and constants. */
  readonly inputs: number;
  /** Everything computed. */
  readonly activations: number;
}

/** A program before it meets a device. */
export interface Plan {
  /** Nodes in the order they run. */
  readonly steps: readonly Step[];
  /** Every buffer, once. */
  readonly buffers: readonly Buffer[];
  /** Where the outputs lie. */
  readonly outputs: Readonly<Record<string, BufferSlice>>;
  /** Bytes by use. */
  readonly memory: Memory;
  /** Floating point operations of a run. */
  readonly flops: number;
  /** Dispatches of a run; none on the CPU. */
  readonly dispatches: number;
}

/** An adapter that stops loops early does so in silence: what would pass its limit is refused. */
function checkIterations(
  { label, iterations }: Dispatch,
  path: string,
  { maxIterations = Infinity }: Target,
): void {
  if (!iterations || iterations.count <= maxIterations) return;
  const [most, found] = [maxIterations, iterations.count].map((n) => n.toLocaleString("en-US"));
  throw new UserError(
    `${path ? `${path}: ` : ""}${label}: ${iterations.of} is beyond what the software adapter computes ` +
      `(${most} iterations of a kernel's loops, this one takes ${found}): use the CPU or a GPU.`,
  );
}

function callOf(
  node: Node,
  wanted: ReadonlySet<Tensor>,
  inputs: readonly BufferSlice[],
  places: Places,
): Call {
  const call: Call = {
    inputs: node.inputs,
    outputs: node.outputs,
    attrs: node.attrs,
    needed: node.outputs.map((y) => wanted.has(y)),
  };
  if (node.op.role !== "pack") return call;
  const whole = places.of(node.outputs[0]);
  const { offsets } = node.attrs as PackAttrs;
  const placed = inputs.map(({ buffer, offset }, i) => {
    return buffer === whole.buffer && offset === whole.offset + offsets[i];
  });
  return { ...call, placed } as PackCall;
}

function stepOf(node: Node, wanted: ReadonlySet<Tensor>, places: Places, target?: Target): Step {
  const inputs = node.inputs.map(places.of);
  const call = callOf(node, wanted, inputs, places);
  const lowered = target ? node.op.lower(call, target) : { dispatches: [] };
  if (target) { for (const dispatch of lowered.dispatches) checkIterations(dispatch, node.path, target); }
  const binds = (output: number): boolean =>
    lowered.dispatches.some(({ bindings }) =>
      Object.values(bindings).some((ref) => ref?.[0] === "output" && ref[1] === output)
    );
  // An output that nothing reads takes no memory where the kernels do without it.
  const outputs = node.outputs.map((y, i) =>
    target && !call.needed[i] && !binds(i) ? UNALLOCATED : places.of(y)
  );
  return { node, call, lowered, inputs, outputs, scratch: (lowered.scratch ?? []).map(places.scratch) };
}

/**
 * Plans a graph: an order, a place for every tensor, and the dispatches of every node for a target (none without one:
 * the CPU device).
 *
 * Buffers are shared by tensors whose lives do not overlap. A tensor never shares a buffer with an input of the kernel
 * that computes it, because WebGPU forbids one buffer to be read and written by a dispatch; results that a `pack` takes
 * are computed in the pack's buffer.
 *
 * @throws {Error} where something is read by a name under which it has been replaced, or one name has two shapes
 * @throws {UserError} where a kernel's loops are longer than the target runs them
 */
export function plan(graph: Graph, target?: Target): Plan {
  const outputs = graph.outputs ?? {};
  const roots = [...Object.values(outputs), ...(graph.effects ?? [])];
  const nodes = ancestors(roots);
  checkOrder(nodes, outputs);
  const wanted = new Set([...roots, ...nodes.flatMap((node) => node.inputs)]);
  const places = placesFor(nodes, roots);
  const steps: Step[] = [];
  nodes.forEach((node, index) => {
    if (computesNothing(node.op)) return;
    const step = stepOf(node, wanted, places, target);
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
