// Alias analysis: finds the tensors that share memory, and checks that memory which was written in place is afterwards read
// only through the writer's output. The check runs before memory is allocated, and is the same for every device.
import type { Named } from "../graph/structure.ts";
import { formatSpec, type Node, type Tensor } from "../graph/tensor.ts";

/** Returns the tensor that `x` directly aliases, through a view or an in-place output, or undefined if there is none. */
export function aliasOf(x: Tensor): Tensor | undefined {
  const source = x.node.op.role === "view" ? 0 : x.node.op.inplace?.[x.index];
  return source === undefined ? undefined : x.node.inputs[source];
}

/** Returns the tensor that owns the memory of `x` (its root), found by following all views and in-place outputs. */
export function rootOf(x: Tensor): Tensor {
  for (let link: Tensor | undefined = x; link; link = aliasOf(link)) x = link;
  return x;
}

/** Returns the roots of the tensors that the nodes overwrite in place. */
export function replacedRoots(nodes: readonly Node[]): Set<Tensor> {
  return new Set(nodes.flatMap((node) => replacedBy(node).map(rootOf)));
}

const replacedBy = (node: Node): Tensor[] =>
  Object.values(node.op.inplace ?? {}).map((source) => node.inputs[source]);

/**
 * Returns what identifies a tensor's memory: the name of a state, because several nodes may refer to it, and otherwise the
 * root.
 */
function memoryOf(x: Tensor): Tensor | string {
  const root = rootOf(x);
  return root.node.op.role === "state" ? (root.node.attrs as Named).name : root;
}

const placeOf = ({ op, path }: Node): string => path ? `${op.name} at ${path}` : op.name;

/**
 * Checks that memory which was written in place is afterwards read only through the writer's output, because any other
 * tensor that shares the memory would silently hold the new values. This includes the program's outputs, which are read
 * last.
 *
 * @throws {Error} if a node or an output reads a tensor that another node has replaced, or if a node would overwrite a
 * constant or an input
 */
export function checkOrder(nodes: readonly Node[], outputs: Readonly<Record<string, Tensor>>): void {
  const writers = new Map<Tensor | string, Node>();
  const check = (x: Tensor, reader: () => string): void => {
    const writer = writers.get(memoryOf(x));
    if (!writer) return;
    let link: Tensor | undefined = x;
    while (link && link.node !== writer) link = aliasOf(link);
    if (!link) throw new Error(`${reader()} reads a tensor after ${placeOf(writer)} replaced it.`);
  };
  for (const node of nodes) {
    for (const x of node.inputs) check(x, () => placeOf(node));
    for (const x of replacedBy(node)) {
      const { op: { role }, outputs: [source] } = rootOf(x).node;
      if (role === "constant" || role === "literal" || role === "input") {
        throw new Error(
          `${placeOf(node)} would replace the ${role} ${
            formatSpec(source)
          }: only states and results can be replaced.`,
        );
      }
      writers.set(memoryOf(x), node);
    }
  }
  for (const [name, x] of Object.entries(outputs)) check(x, () => `Output ${name}`);
}
