// Reverse-mode differentiation: appends the backward nodes of a scalar to the graph that computes it.
import { UserError } from "../base/errors.ts";
import type { Node, Tensor } from "./tensor.ts";

/** Sums two gradients of one tensor; the kernels' room knows how, so it is given here. */
export type Add = (a: Tensor, b: Tensor) => Tensor;

/** The nodes that `roots` need, in the order they were created, which is an order they can run in. */
export function ancestors(roots: Iterable<Tensor>): Node[] {
  const seen = new Set<Node>([...roots].map((root) => root.node));
  // A set is iterated to what is added meanwhile too.
  for (const node of seen) for (const x of node.inputs) seen.add(x.node);
  return [...seen].sort((a, b) => a.order - b.order);
}

/** a + b, by the kernel that computes one of them where it can add the other on its way out. */
function accumulate(a: Tensor, b: Tensor, add: Add): Tensor {
  for (const [x, addend] of [[b, a], [a, b]]) {
    // The addend must exist when x's kernel runs.
    const fused = x.index === 0 ? x.node.op.withAddend?.(x.node, addend) : undefined;
    if (fused) return fused;
  }
  return add(a, b);
}

/**
 * Gradients of a scalar [1] with respect to tensors of its graph, as new tensors of the same graph: of each of `wrt`, which is
 * taken as a leaf, so that a parameter may be a view of a state, and of everything between them and the loss; undefined where
 * the loss does not depend on a tensor, or it does not depend on any of `wrt`. `seed`: dL/dloss, usually the constant 1.
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
    const made: unknown = node.op.vjp(node, given, needed);
    if (!Array.isArray(made)) throw new UserError(`${place}: expected vjp to give a list of gradients.`);
    made.forEach((g: Tensor | undefined, i) => {
      if (!g || !needed[i]) return;
      const x = node.inputs[i];
      const before = gradient.get(x);
      gradient.set(x, before ? accumulate(before, g, add) : g);
    });
  }
  return (x) => gradient.get(x);
}
