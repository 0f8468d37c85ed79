// Charts of the norms of each layer's parameters and gradients over the steps of a run.

import type { LogRecord } from "../log/records.ts";
import type { LogCharts } from "./log_charts.ts";
import { type ChartSeries, lineChart } from "./line_chart.ts";
import { type Thinner, thinner } from "./downsample.ts";

const KINDS: Readonly<Record<string, { readonly what: string; readonly log: boolean }>> = {
  param: { what: "parameters", log: false },
  param_grad: { what: "gradients", log: true },
};
const STRETCHES = 512;

/**
 * The norm of one layer. `l2` is the joint norm of those of its tensors whose records for `step` were already read; `line`
 * has the norms at earlier steps.
 */
interface LayerNorm {
  readonly layer: number | null;
  step: number;
  l2: number;
  readonly line: Thinner<[number, number]>;
}

function finishStep(norm: LayerNorm): void {
  if (norm.step >= 0) norm.line.add([norm.step, norm.l2]);
}

/** Returns a sort key that puts layers in order before the parameters outside layers. */
const place = ({ layer }: LayerNorm): number => layer ?? Infinity;

function seriesOf(norms: readonly LayerNorm[]): ChartSeries[] {
  return norms.toSorted((a, b) => place(a) - place(b)).map(({ layer, line }) => {
    const colour = layer === null ? { colour: "#999999" } : {};
    return { name: layer === null ? "outside layers" : `layer ${layer}`, points: line.items(), ...colour };
  });
}

/**
 * Returns charts of the norms by layer over the steps, drawn from `stat` records of the kinds `param` and `param_grad`. The
 * norm of a layer at a step is the square root of the sum of the squared L2 norms of all its tensors that were recorded at
 * this step. Norms of gradients are on a logarithmic axis. The files are `norms_parameters.svg` and `norms_gradients.svg`.
 *
 * @example
 * ```ts
 * import { normsCharts } from "./mod.ts";
 * const charts = normsCharts();
 * const about = { type: "stat", kind: "param", tap: "blocks.0.attn.wq.weight", layer: 0, head: null } as const;
 * for (const step of [1, 2]) charts.add({ ...about, step, l2: 10 + step });
 * Object.keys(charts.draw("small")); // ["norms_parameters.svg"]
 * ```
 */
export function normsCharts(): LogCharts {
  const kinds = new Map<string, Map<number | null, LayerNorm>>();
  return {
    types: ["stat"],
    add(record: LogRecord) {
      if (record.type !== "stat" || !Object.hasOwn(KINDS, record.kind) || typeof record.l2 !== "number") {
        return;
      }
      const { kind, layer, step, l2 } = record;
      const norm = kinds.getOrInsertComputed(kind, () => new Map<number | null, LayerNorm>())
        .getOrInsertComputed(
          layer,
          () => ({ layer, step: -1, l2: 0, line: thinner(STRETCHES, ([, y]) => y) }),
        );
      if (norm.step !== step) {
        finishStep(norm);
        Object.assign(norm, { step, l2: 0 });
      }
      // The squares of 1e200 and 1e-200 overflow and underflow float64.
      norm.l2 = Math.hypot(norm.l2, l2);
    },
    draw(name) {
      const drawn = Object.keys(KINDS).filter((kind) => kinds.has(kind)).map((kind) => {
        const { what, log } = KINDS[kind];
        const norms = [...kinds.get(kind)!.values()];
        for (const norm of norms) {
          finishStep(norm);
          norm.step = -1;
        }
        const chart = lineChart({
          title: `${name}: norms of ${what} by layer`,
          x: { label: "step" },
          y: { label: `L2 norm of ${what}`, log, limits: [0, Infinity] },
          series: seriesOf(norms),
        });
        return [`norms_${what}.svg`, chart];
      });
      return Object.fromEntries(drawn);
    },
  };
}
