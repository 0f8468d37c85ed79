// The table of `train --dry-run`: the parameters and the cost of each layer.
import { alignedRows } from "../base/table.ts";
import { showBytes, showFlops } from "../base/units.ts";
import { ancestors } from "../graph/gradient.ts";
import type { Experiment } from "../model/model.ts";
import { optimizerStates } from "./optimizers.ts";
import { logitsGraph } from "./step_graph.ts";

/** Returns the layer, such as `blocks.0.attn`, to which a parameter (given by name) or a graph node (given by path) belongs. */
const layerOf = (name: string): string =>
  name.split(".").slice(0, name.startsWith("blocks.") ? 3 : 1).join(".");

/** Maps each layer to its number of floating point operations in a step's forward passes. */
function forwardFlops({ config: { train: { batch, accumulate } }, architecture, layout }: Experiment) {
  const { outputs } = logitsGraph(architecture, layout, batch, architecture.context);
  const flops = new Map<string, number>();
  for (const { op, inputs, outputs: results, attrs, path } of ancestors(Object.values(outputs ?? {}))) {
    const forward = op.flops?.({ inputs, outputs: results, attrs, needed: results.map(() => true) }) ?? 0;
    flops.set(layerOf(path), (flops.get(layerOf(path)) ?? 0) + accumulate * forward);
  }
  return flops;
}

/**
 * Returns the lines of a table with one row per layer: the shapes and the number of the layer's parameters, the memory of its
 * parameters, gradients and optimizer states (float32), and its number of floating point operations in a step's forward
 * passes.
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { layerTable, prepare } from "./mod.ts";
 * console.log(layerTable(await prepare(await loadConfig("copy", []))).join("\n"));
 * ```
 */
export function layerTable(experiment: Experiment): string[] {
  const { config, layout } = experiment;
  const flops = forwardFlops(experiment);
  const copies = 2 + optimizerStates(config.optimizer, layout).length;
  const row = (name: string, shapes: string, size: number, work: number): string[] => [
    name,
    shapes,
    size.toLocaleString("en"),
    showBytes(4 * copies * size),
    work > 0 ? showFlops(work) : "",
  ];
  const layers = Map.groupBy(layout.slots, ({ name }) => layerOf(name));
  const names = [...new Set([...layers.keys(), ...flops.keys()])];
  const order = (name: string): number => {
    const [kind, n] = name.split(".");
    return kind === "blocks" ? 1 + Number(n) : /embed/.test(kind) ? 0 : name ? 1e6 : Infinity;
  };
  const rows = names.sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1)).map((name) => {
    const slots = layers.get(name) ?? [];
    const shapes = slots.map((slot) => `${slot.name.slice(name.length + 1)} ${slot.shape.join("x")}`).join(
      ", ",
    );
    return row(name || "other", shapes, slots.reduce((sum, { size }) => sum + size, 0), flops.get(name) ?? 0);
  });
  const total = [...flops.values()].reduce((sum, work) => sum + work, 0);
  return alignedRows(
    [
      ["layer", "shapes", "parameters", "memory", "forward"],
      ...rows,
      row("all", "", experiment.parameters, total),
    ],
    { left: (column) => column < 2 },
  );
}
