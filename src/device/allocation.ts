// Memory allocation for a graph: where every tensor is stored and which tensors share memory. The plan visits the nodes
// in order, allocates their tensors and releases those that nothing reads any more.
import type { ConstantAttrs, LiteralAttrs, Named, PackAttrs, ViewAttrs } from "../graph/structure.ts";
import { ALIGN } from "../graph/structure.ts";
import { formatSpec, sizeOf } from "../graph/tensor.ts";
import type { Node, Op, Spec, Tensor, Values } from "../graph/tensor.ts";
import { aliasOf, replacedRoots, rootOf } from "./aliasing.ts";

/** A buffer of the plan; sizes and offsets are in elements of four bytes. */
export interface Buffer {
  /** What the buffer contains; an "arena" contains computed tensors. */
  readonly kind: "input" | "state" | "constant" | "arena";
  /** Name of the input or state; for other buffers, a name that the plan assigns. */
  readonly name: string;
  /** Shape and type of the tensor that the buffer contains; for an arena, those of the first tensor that was stored in it. */
  readonly spec: Spec;
  /** If it is a constant: the value of every element. */
  readonly value?: number;
  /** If it is a literal: its values. */
  readonly data?: Values;
  /** Number of elements. */
  size: number;
}

/** The memory of a tensor. */
export interface BufferSlice {
  /** The buffer that contains it. */
  readonly buffer: Buffer;
  /** Offset of its first element in the buffer. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
}

/** True if an operation computes nothing, that is, if it is a source or a view. */
export const computesNothing = ({ role }: Op): boolean => role !== undefined && role !== "pack";

/** Placeholder slice of a tensor that is never written. */
export const UNALLOCATED: BufferSlice = {
  buffer: { kind: "arena", name: "nowhere", spec: { shape: [0], dtype: "f32" }, size: 0 },
  offset: 0,
  size: 0,
};

const aligned = (n: number): number => Math.ceil(Math.max(n, 1) / ALIGN) * ALIGN;

/**
 * Creates a collection of free buffers by size. Among buffers of the same size, the one that was freed first is taken
 * first.
 */
function freeBuffers() {
  const bySize = new Map<number, Buffer[]>();
  // The different sizes in ascending order. There are far fewer sizes than buffers, because the model's blocks have equal
  // sizes.
  const sizes: number[] = [];
  const atLeast = (size: number): number => {
    let [low, high] = [0, sizes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sizes[middle] < size) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    give(buffer: Buffer): void {
      const alike = bySize.get(buffer.size);
      if (alike) return void alike.push(buffer);
      bySize.set(buffer.size, [buffer]);
      sizes.splice(atLeast(buffer.size), 0, buffer.size);
    },
    /**
     * Takes the smallest free buffer that holds `size` elements, or the largest one if all are smaller. Returns undefined
     * if no buffer is free.
     */
    take(size: number): Buffer | undefined {
      if (sizes.length === 0) return undefined;
      const at = Math.min(atLeast(size), sizes.length - 1);
      const alike = bySize.get(sizes[at])!;
      const buffer = alike.shift()!;
      if (alike.length === 0) {
        bySize.delete(sizes[at]);
        sizes.splice(at, 1);
      }
      return buffer;
    },
  };
}

/** Creates a pool of buffers, which tensors take and give back as the plan visits the nodes. */
function pool() {
  const all: Buffer[] = [];
  const free = freeBuffers();
  const make = (name: string, size: number, spec: Spec): Buffer => {
    const buffer: Buffer = { kind: "arena", name: `${name}${all.length}`, spec, size };
    all.push(buffer);
    return buffer;
  };
  return {
    all,
    make,
    take(size: number, spec: Spec): Buffer {
      const taken = free.take(size);
      if (!taken) return make("arena", size, spec);
      taken.size = Math.max(taken.size, size);
      return taken;
    },
    give: free.give,
  };
}

/**
 * Finds the tensors that can be computed directly in a pack's memory. Such a tensor is a root in the arena; the whole
 * tensor is exactly one input of the pack, and it is not an input of an earlier pack. Tensors and packs that are
 * overwritten in place are excluded, because overwriting one must not change the other.
 */
function packed(nodes: readonly Node[]): Map<Tensor, { pack: Tensor; offset: number }> {
  const placed = new Map<Tensor, { pack: Tensor; offset: number }>();
  const replaced = replacedRoots(nodes);
  for (const node of nodes) {
    if (node.op.role !== "pack" || replaced.has(node.outputs[0])) continue;
    const { offsets } = node.attrs as PackAttrs;
    const roots = node.inputs.map(rootOf);
    const times = new Map<Tensor, number>();
    for (const root of roots) times.set(root, (times.get(root) ?? 0) + 1);
    roots.forEach((root, i) => {
      const free = root.node.op.role === undefined && !placed.has(root);
      const once = times.get(root) === 1 && !replaced.has(root);
      if (free && once && sizeOf(root) === sizeOf(node.inputs[i]) && offsets[i] % ALIGN === 0) {
        placed.set(root, { pack: node.outputs[0], offset: offsets[i] });
      }
    });
  }
  return placed;
}

/** Maps each root to the index of the last node that uses it, or to Infinity if the root is kept. */
function lastUses(nodes: readonly Node[], kept: readonly Tensor[]): Map<Tensor, number> {
  const last = new Map<Tensor, number>();
  nodes.forEach((node, step) => {
    for (const x of [...node.inputs, ...node.outputs]) last.set(rootOf(x), step);
  });
  for (const x of kept) last.set(rootOf(x), Infinity);
  return last;
}

function sourceBuffer(x: Tensor): Buffer {
  const kind = x.node.op.role as "input" | "state" | "constant";
  const spec: Spec = { shape: x.shape, dtype: x.dtype };
  if (x.node.op.role === "literal") {
    const { values: data } = x.node.attrs as LiteralAttrs;
    return { kind: "constant", name: `literal ${x.node.order}`, spec, data, size: aligned(sizeOf(x)) };
  }
  if (kind === "constant") {
    const { value } = x.node.attrs as ConstantAttrs;
    return { kind, name: `constant ${value} ${formatSpec(x)}`, spec, value, size: aligned(sizeOf(x)) };
  }
  return { kind, name: (x.node.attrs as Named).name, spec, size: aligned(sizeOf(x)) };
}

/** Creates the buffers of inputs, states and constants. There is one buffer per name, and all nodes with that name share it. */
function sourcePool() {
  const all = new Map<string, Buffer>();
  return {
    all,
    of(x: Tensor): Buffer {
      const source = sourceBuffer(x);
      const known = all.get(source.kind + source.name) ?? source;
      if (formatSpec(known.spec) !== formatSpec(source.spec)) {
        throw new Error(
          `${source.kind} ${source.name} is ${formatSpec(known.spec)} and ${formatSpec(source.spec)}.`,
        );
      }
      all.set(source.kind + source.name, known);
      return known;
    },
  };
}

/** Allocator for a program's tensors. */
export interface Places {
  /** Returns the memory of a tensor. The first call for a tensor allocates the memory. */
  of(x: Tensor): BufferSlice;
  /** Allocates scratch memory for a single node. */
  scratch(size: number): BufferSlice;
  /** Releases the scratch memory of the node at `index`, and the tensors that no later node uses. */
  release(node: Node, index: number, scratch: readonly BufferSlice[]): void;
  buffers(): Buffer[];
}

/** Creates the allocator for `nodes`, which must be visited in order. The memory of `roots` is kept until the end. */
export function placesFor(nodes: readonly Node[], roots: readonly Tensor[]): Places {
  const placed = packed(nodes);
  const packs = nodes.filter((node) => node.op.role === "pack").map((node) => node.outputs[0]);
  const last = lastUses(nodes, [...roots, ...packs]);
  const arena = pool();
  const sources = sourcePool();
  const where = new Map<Tensor, BufferSlice>();
  const rootPlace = (root: Tensor): BufferSlice => {
    const size = sizeOf(root);
    const spot = placed.get(root);
    if (spot) return { buffer: of(spot.pack).buffer, offset: spot.offset, size };
    if (computesNothing(root.node.op)) return { buffer: sources.of(root), offset: 0, size };
    // A pack buffer is never reused, so that the gaps between its parts stay zero.
    const isPack = root.node.op.role === "pack";
    const buffer = isPack ? arena.make("pack", aligned(size), root) : arena.take(aligned(size), root);
    return { buffer, offset: 0, size };
  };
  const of = (x: Tensor): BufferSlice => {
    const root = rootOf(x);
    const place = where.get(root) ?? rootPlace(root);
    where.set(root, place);
    let { offset } = place;
    for (let link: Tensor = x; link !== root; link = aliasOf(link)!) {
      if (link.node.op.role === "view") offset += (link.node.attrs as ViewAttrs).offset;
    }
    return { buffer: place.buffer, offset, size: sizeOf(x) };
  };
  return {
    of,
    scratch: (size) => ({
      buffer: arena.take(aligned(size), { shape: [size], dtype: "f32" }),
      offset: 0,
      size,
    }),
    release(node, index, scratch) {
      for (const { buffer } of scratch) arena.give(buffer);
      for (const root of new Set([...node.inputs, ...node.outputs].map(rootOf))) {
        const inPool = !computesNothing(root.node.op) && !placed.has(root);
        if (inPool && last.get(root) === index && where.has(root)) arena.give(where.get(root)!.buffer);
      }
    },
    buffers: () => [...sources.all.values(), ...arena.all],
  };
}
