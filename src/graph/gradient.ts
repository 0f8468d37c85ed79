// Reverse-mode differentiation: appends the backward nodes of a scalar to the graph that computes it.
import { UserError } from "../base/errors.ts";
import type { Node, Tensor } from "./tensor.ts";

/** Sums two gradients of one tensor. It is passed as an argument because addition is defined in kernels/. */
export type Add = (a: Tensor, b: Tensor) => Tensor;

/** Returns the nodes on which `roots` depend, in topological order. */
export function ancestors(roots: Iterable<Tensor>): Node[] {
  const seen = new Set<Node>([...roots].map((root) => root.node));
  // The iteration of a Set also visits elements that are added during it.
  for (const node of seen) for (const x of node.inputs) seen.add(x.node);
  return [...seen].sort((a, b) => a.order - b.order);
}

/**
 * Returns a + b. If the kernel that computes one of them can add the other to its output, the addition is fused into that
 * kernel.
 */
function accumulate(a: Tensor, b: Tensor, add: Add): Tensor {
  for (const [x, addend] of [[b, a], [a, b]]) {
    // The addend must exist when x's kernel runs.
    const fused = x.index === 0 ? x.node.op.fuseAdd?.(x.node, addend) : undefined;
    if (fused) return fused;
  }
  return add(a, b);
}

/**
 * Returns a function that maps a tensor to its gradient, which is a new tensor of the graph. It maps a tensor to undefined
 * if the loss, a scalar [1], does not depend on the tensor, or if the tensor depends on no tensor of `wrt`. Each tensor of
 * `wrt` is treated as a leaf, so that a parameter can be a view of a state. `seed` is the gradient of the loss itself,
 * usually 1.
 */
export function gradients(
  loss: Tensor,
  wrt: readonly Tensor[],
  { seed, add }: { seed: Tensor; add: Add },
): (x: Tensor) => Tensor | undefined {
  const leaves = new Set(wrt);
  const nodes = ancestors([loss]);
  const active = new Set<Tensor>(leaves);
  for (const node of nodes) {
    if (node.inputs.some((x) => active.has(x))) { for (const y of node.outputs) active.add(y); }
  }
  const gradient = new Map<Tensor, Tensor>([[loss, seed]]);
  for (const node of nodes.reverse()) {
    const given = node.outputs.map((y) => leaves.has(y) ? undefined : gradient.get(y));
    const needed = node.inputs.map((x) => active.has(x));
    if (!given.some((g) => g) || !needed.some((w) => w)) continue;
    const place = `${node.op.name} at ${node.path || "the top"}`;
    if (!node.op.vjp) throw new UserError(`${place} has no gradient.`);
    const inputGradients: unknown = node.op.vjp(node, given, needed);
    if (!Array.isArray(inputGradients)) {
      throw new UserError(`${place}: expected vjp to return a list of gradients.`);
    }
    inputGradients.forEach((g: Tensor | undefined, i) => {
      if (!g || !needed[i]) return;
      const x = node.inputs[i];
      const before = gradient.get(x);
      gradient.set(x, before ? accumulate(before, g, add) : g);
    });
  }
  return (x) => gradient.get(x);
}
