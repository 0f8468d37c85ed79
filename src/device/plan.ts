// The static memory plan: where every tensor of a graph lies, which tensors share memory, in which order nodes run.
// Made once, before the first step; the same for every device but for the scratch buffers of its kernels.
import { ancestors } from "../graph/gradient.ts";
import {
  type Call,
  type Lowered,
  type Node,
  show,
  sizeOf,
  type Spec,
  type Target,
  type Tensor,
} from "../graph/tensor.ts";
import {
  ALIGN,
  type ConstantAttrs,
  type Named,
  type PackAttrs,
  type PackCall,
  type ViewAttrs,
} from "../graph/structure.ts";

/** What a program computes: `outputs` may be read by name, `effects` are nodes run for what they write in place. */
export interface Graph {
  readonly outputs?: Readonly<Record<string, Tensor>>;
  readonly effects?: readonly Tensor[];
}

/** A buffer of the plan; its size in elements of four bytes. */
export interface Buffer {
  readonly kind: "input" | "state" | "constant" | "arena";
  readonly name: string;
  readonly spec: Spec;
  /** Value of a constant. */
  readonly value?: number;
  size: number;
}

/** Where a tensor lies. */
export interface Place {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly size: number;
}

/** One node to run, with everything about it that does not change. */
export interface Step {
  readonly node: Node;
  readonly call: Call;
  readonly lowered: Lowered;
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  readonly scratch: readonly Place[];
}

/** Bytes of device memory by use. */
export interface Memory {
  readonly states: number;
  readonly inputs: number;
  readonly activations: number;
}

/** A program before it meets a device. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly buffers: readonly Buffer[];
  readonly outputs: Readonly<Record<string, Place>>;
  readonly memory: Memory;
  readonly flops: number;
  readonly dispatches: number;
}

const STRUCTURE = new Set(["input", "state", "constant", "view"]);
const aligned = (n: number): number => Math.ceil(Math.max(n, 1) / ALIGN) * ALIGN;

const NOWHERE: Place = {
  buffer: { kind: "arena", name: "nowhere", spec: { shape: [0], dtype: "f32" }, size: 0 },
  offset: 0,
  size: 0,
};

/** A pool of buffers that tensors take and give back as the plan walks through the program. */
function pool() {
  const all: Buffer[] = [];
  const free: Buffer[] = [];
  return {
    all,
    take(size: number, spec: Spec): Buffer {
      const fits = free.filter((b) => b.size >= size).sort((a, b) => a.size - b.size)[0];
      const largest = fits ?? free.sort((a, b) => b.size - a.size)[0];
      if (!largest) {
        const made: Buffer = { kind: "arena", name: `arena${all.length}`, spec, size };
        all.push(made);
        return made;
      }
      free.splice(free.indexOf(largest), 1);
      largest.size = Math.max(largest.size, size);
      return largest;
    },
    give: (buffer: Buffer) => void free.push(buffer),
  };
}

/** What `x` is an alias of, one link down: through a view or an in-place output. */
function aliasOf(x: Tensor): Tensor | undefined {
  const source = x.node.op.name === "view" ? 0 : x.node.op.inplace?.[x.index];
  return source === undefined ? undefined : x.node.inputs[source];
}

/** The tensor whose memory `x` lies in: behind views and in-place outputs. */
function rootOf(x: Tensor): Tensor {
  for (let link: Tensor | undefined = x; link; link = aliasOf(link)) x = link;
  return x;
}

/** Tensors that a pack may have computed in place: roots of the arena that only one pack takes, whole. */
function packed(nodes: readonly Node[]): Map<Tensor, { pack: Tensor; offset: number }> {
  const placed = new Map<Tensor, { pack: Tensor; offset: number }>();
  for (const node of nodes) {
    if (node.op.name !== "pack") continue;
    const { offsets } = node.attrs as PackAttrs;
    node.inputs.forEach((x, i) => {
      const root = rootOf(x);
      const free = !STRUCTURE.has(root.node.op.name) && root.node.op.name !== "pack" && !placed.has(root);
      if (free && sizeOf(root) === sizeOf(x) && offsets[i] % ALIGN === 0) {
        placed.set(root, { pack: node.outputs[0], offset: offsets[i] });
      }
    });
  }
  return placed;
}

/** Index of the last step that touches each root. */
function lastUses(nodes: readonly Node[], kept: ReadonlySet<Tensor>): Map<Tensor, number> {
  const last = new Map<Tensor, number>();
  nodes.forEach((node, step) => {
    for (const x of [...node.inputs, ...node.outputs]) last.set(rootOf(x), step);
  });
  for (const x of kept) last.set(x, Infinity);
  return last;
}

/** Memory written in place must be read through the writer's output afterwards: anything else would see the new value. */
function checkOrder(nodes: readonly Node[]): void {
  const writers = new Map<Tensor, Node>();
  for (const node of nodes) {
    for (const x of node.inputs) {
      const writer = writers.get(rootOf(x));
      let link: Tensor | undefined = x;
      while (link && link.node !== writer) link = aliasOf(link);
      if (writer && !link) {
        throw new Error(`${node.op.name} reads a tensor after ${writer.op.name} replaced it.`);
      }
    }
    for (const source of Object.values(node.op.inplace ?? {})) writers.set(rootOf(node.inputs[source]), node);
  }
}

function sourceBuffer(x: Tensor): Buffer {
  const kind = x.node.op.name as "input" | "state" | "constant";
  const spec: Spec = { shape: x.shape, dtype: x.dtype };
  if (kind === "constant") {
    const { value } = x.node.attrs as ConstantAttrs;
    return { kind, name: `constant ${value} ${show(x)}`, spec, value, size: aligned(sizeOf(x)) };
  }
  return { kind, name: (x.node.attrs as Named).name, spec, size: aligned(sizeOf(x)) };
}

/**
 * Plans a graph: an order, a place for every tensor, and the dispatches of every node for a target (none without one:
 * the CPU device).
 *
 * Buffers are shared by tensors whose lives do not overlap. A tensor never shares a buffer with an input of the kernel
 * that computes it, because WebGPU forbids one buffer to be read and written by a dispatch; results that a `pack` takes
 * are computed in the pack's buffer.
 */
export function plan(graph: Graph, target?: Target): Plan {
  const outputs = graph.outputs ?? {};
  const roots = [...Object.values(outputs), ...(graph.effects ?? [])];
  const nodes = ancestors(roots);
  checkOrder(nodes);
  const placed = packed(nodes);
  const kept = new Set(roots.map(rootOf));
  for (const { pack } of placed.values()) kept.add(pack);
  for (const node of nodes) if (node.op.name === "pack") kept.add(node.outputs[0]);
  const last = lastUses(nodes, kept);
  const wanted = new Set([...roots, ...nodes.flatMap((node) => node.inputs)]);

  const arena = pool();
  const sources = new Map<string, Buffer>();
  const where = new Map<Tensor, Place>();
  const placeOf = (x: Tensor): Place => {
    const root = rootOf(x);
    let place = where.get(root);
    if (!place) {
      const size = sizeOf(root);
      const spot = placed.get(root);
      if (spot) {
        place = { buffer: placeOf(spot.pack).buffer, offset: spot.offset, size };
      } else if (STRUCTURE.has(root.node.op.name)) {
        const made = sourceBuffer(root);
        const known = sources.get(made.kind + made.name);
        if (known && show(known.spec) !== show(made.spec)) {
          throw new Error(`${made.kind} ${made.name} is ${show(known.spec)} and ${show(made.spec)}.`);
        }
        sources.set(made.kind + made.name, known ?? made);
        place = { buffer: known ?? made, offset: 0, size };
      } else if (root.node.op.name === "pack") {
        // Its own for ever: the gaps between its parts stay zero.
        const made: Buffer = {
          kind: "arena",
          name: `pack${arena.all.length}`,
          spec: root,
          size: aligned(size),
        };
        arena.all.push(made);
        place = { buffer: made, offset: 0, size };
      } else {
        place = { buffer: arena.take(aligned(size), root), offset: 0, size };
      }
      where.set(root, place);
    }
    let offset = 0;
    for (let link: Tensor = x; link !== root; link = aliasOf(link)!) {
      if (link.node.op.name === "view") offset += (link.node.attrs as ViewAttrs).offset;
    }
    return { buffer: place.buffer, offset: place.offset + offset, size: sizeOf(x) };
  };

  const steps: Step[] = [];
  let flops = 0;
  nodes.forEach((node, index) => {
    if (STRUCTURE.has(node.op.name)) return;
    const call: PackCall | Call = {
      inputs: node.inputs,
      outputs: node.outputs,
      attrs: node.attrs,
      wanted: node.outputs.map((y) => wanted.has(y)),
      ...(node.op.name === "pack"
        ? { placed: node.inputs.map((x) => placed.get(rootOf(x))?.pack === node.outputs[0]) }
        : {}),
    } as PackCall;
    const inputs = node.inputs.map(placeOf);
    const lowered = target ? node.op.lower(call, target) : { dispatches: [] };
    // An output that nothing reads takes no memory where the kernels do without it.
    const bound = new Set(
      lowered.dispatches.flatMap((d) => Object.values(d.bindings).map((ref) => ref?.join())),
    );
    const results = node.outputs.map((y, i) => {
      return target && !call.wanted[i] && !bound.has(`output,${i}`) ? NOWHERE : placeOf(y);
    });
    const scratch = (lowered.scratch ?? []).map((size): Place => {
      return { buffer: arena.take(aligned(size), { shape: [size], dtype: "f32" }), offset: 0, size };
    });
    flops += node.op.flops?.(call) ?? 0;
    steps.push({ node, call, lowered, inputs, outputs: results, scratch });
    for (const { buffer } of scratch) arena.give(buffer);
    for (const root of new Set([...node.inputs, ...node.outputs].map(rootOf))) {
      const own = !STRUCTURE.has(root.node.op.name) && !placed.has(root);
      if (own && last.get(root) === index && where.has(root)) arena.give(where.get(root)!.buffer);
    }
  });
  const readable = Object.fromEntries(Object.entries(outputs).map(([name, x]) => [name, placeOf(x)]));
  const buffers = [...sources.values(), ...arena.all];
  const bytes = (...kinds: string[]) =>
    buffers.filter((b) => kinds.includes(b.kind)).reduce((sum, b) => sum + 4 * b.size, 0);
  return {
    steps,
    buffers,
    outputs: readable,
    memory: { states: bytes("state"), inputs: bytes("input", "constant"), activations: bytes("arena") },
    flops,
    dispatches: steps.reduce((sum, step) => sum + step.lowered.dispatches.length, 0),
  };
}
