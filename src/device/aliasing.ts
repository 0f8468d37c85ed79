// Which tensors are one memory, and what writing it in place forbids: whoever reads it afterwards must do so through the
// writer's output. Checked before anything is placed, the same for every device.
import type { Named } from "../graph/structure.ts";
import { formatSpec, type Node, type Tensor } from "../graph/tensor.ts";

/** What `x` is an alias of, one link down: through a view or an in-place output. */
export function aliasOf(x: Tensor): Tensor | undefined {
  const source = x.node.op.role === "view" ? 0 : x.node.op.inplace?.[x.index];
  return source === undefined ? undefined : x.node.inputs[source];
}

/** The tensor whose memory `x` lies in: behind views and in-place outputs. */
export function rootOf(x: Tensor): Tensor {
  for (let link: Tensor | undefined = x; link; link = aliasOf(link)) x = link;
  return x;
}

/** Roots of what the nodes write in place. */
export function replacedRoots(nodes: readonly Node[]): Set<Tensor> {
  return new Set(nodes.flatMap((node) => replacedBy(node).map(rootOf)));
}

const replacedBy = (node: Node): Tensor[] =>
  Object.values(node.op.inplace ?? {}).map((source) => node.inputs[source]);

/** What tells memories apart: two nodes of one state are one memory. */
function memoryOf(x: Tensor): Tensor | string {
  const root = rootOf(x);
  return root.node.op.role === "state" ? (root.node.attrs as Named).name : root;
}

const placeOf = ({ op, path }: Node): string => path ? `${op.name} at ${path}` : op.name;

/**
 * Memory written in place must be read through the writer's output afterwards: anything else would see the new numbers
 * under the old name. That goes for the program's outputs too, which are read after everything.
 *
 * @throws {Error} at a node or an output that reads what another has replaced, and at a node that would write a constant
 * or an input in place
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
          }: only a state or a result may be.`,
        );
      }
      writers.set(memoryOf(x), node);
    }
  }
  for (const [name, x] of Object.entries(outputs)) check(x, () => `Output ${name}`);
}
