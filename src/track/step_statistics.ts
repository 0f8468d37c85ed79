// Statistics of a step's tensors, gradients, parameters and attention matrices. The device computes them in the step's
// program and keeps them as one row of a table until the host reads the rows of a window.
import type { Updated } from "../../kernels/optimizers/flat_update.ts";
import { attentionGradientStatistics } from "../../kernels/attention_statistics/gradient.ts";
import { isBernoulli } from "../../kernels/attention/sizes.ts";
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import type { AttentionMatrix } from "../../kernels/attention_statistics/table.ts";
import type { Segment } from "../../kernels/statistics/chunks.ts";
import { statistics, type StatisticsInput } from "../../kernels/statistics/op.ts";
import { STATISTICS } from "../../kernels/statistics/table.ts";
import { ALIGN, input, pack, record, reshape, state } from "../graph/structure.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { type Architecture, blockOf, decoder } from "../nn/mod.ts";
import { layerOf } from "../nn/hooks.ts";
import { type ActivationCache, activationCache } from "../model/taps.ts";
import { checkSelectors, dueSets, type Kind, selection, type Subject, type Watched } from "./selectors.ts";
import { flat, type Layout, type OptimizerState, parameterViews } from "../model/layout.ts";

/**
 * Maximum number of steps per window. A statistics table has this number of rows, because the host reads all rows of a window
 * at once.
 */
export const WINDOW = 32;

/**
 * Describes the statistics of one tensor or head, which are stored side by side in a row. For an attention matrix, it describes
 * the statistics of all heads.
 */
export interface StatColumn {
  /** Whether the statistics describe values, a gradient, an optimizer state or an update. */
  readonly kind: Kind;
  /** Name of the tap or of the parameter. */
  readonly tap: string;
  /** Offset of the first statistic in the row. */
  readonly at: number;
  /** Number of elements of the tensor or, if `head` is set, of that head; for an attention matrix, the number of heads. */
  readonly size: number;
  /** Index of the head, if the statistics describe a single head of q, k, v or z. */
  readonly head?: number;
  /**
   * Set for an attention matrix: which matrix it is, and which of the properties that some statistics require it has
   * (`AttentionStatistic.only`).
   */
  readonly attention?: { readonly matrix: "pattern" | "scores"; readonly has: readonly string[] };
  /** Set for an update: the offset in the row at which the statistics of the updated parameter begin. */
  readonly parameter?: number;
}

/** A table on the device, one row per step. */
export interface StatisticsTable {
  /** Name of the device state that holds it. */
  readonly name: string;
  /** Number of values per row. */
  readonly width: number;
  /** Layout of a row, in the order of its records. */
  readonly columns: readonly StatColumn[];
  /**
   * Number of forward passes per step. If there are several, the statistics of activations and their gradients describe the
   * last one. Default: 1.
   */
  readonly passes?: number;
}

/** The subjects that a step's program tracks, and the name of its statistics table. */
export interface StatisticsPlan {
  /** Name of the state that holds the table. */
  readonly name: string;
  /** True if the plan tracks the subject. */
  chosen(subject: Subject): boolean;
}

/** Names of the taps of attention's T x S matrices, which are never stored in memory as a whole. */
const MATRICES: readonly AttentionMatrix[] = ["scores", "pattern"];

/** Matches the taps of tensors [B, T, H, d]. They have statistics for each head in addition to those of the whole tensor. */
const BY_HEAD = /\.attn\.[qkvz]$/;

/** Returns the names of all taps of a model, in the order of its forward pass. */
export function tapNames(architecture: Architecture, layout: Layout): string[] {
  const taps = activationCache(() => true);
  decoder(
    architecture,
    parameterViews(layout, flat(layout)),
    input("ids", [1, architecture.context], "u32"),
    { taps },
  );
  return [...taps.tensors.keys()].flatMap((name) => {
    return name.endsWith(".attn.z")
      ? [...MATRICES.map((matrix) => `${name.slice(0, -1)}${matrix}`), name]
      : name;
  });
}

/** Returns every subject that `track` can select. */
export function subjectsOf(
  architecture: Architecture,
  layout: Layout,
  states: readonly OptimizerState[],
): Subject[] {
  const taps = tapNames(architecture, layout);
  const parameters = layout.slots.map(({ name }) => name);
  const all = (kind: Kind, names: readonly string[]) => names.map((name): Subject => ({ kind, name }));
  return [
    ...all("act", taps),
    ...all("grad", taps),
    ...all("param", parameters),
    ...all("param_grad", parameters),
    ...all("opt", states.flatMap(({ name, slots }) => slots.map((slot) => `${slot.name}.${name}`))),
    ...all("update", parameters),
  ];
}

/**
 * Returns the statistics plans of a run. The key of a plan is the comma-separated list of the `track` entries (indices) that
 * are due together. The key "" is for steps at which no entry is due; its plan is undefined.
 *
 * @throws {UserError} if a selector matches nothing
 */
export function plansOf(
  track: readonly Watched[],
  steps: number,
  subjects: () => readonly Subject[],
): Map<string, StatisticsPlan | undefined> {
  const plans = new Map<string, StatisticsPlan | undefined>();
  if (track.length > 0) {
    const all = subjects();
    track.forEach(({ select }, i) => checkSelectors(`track.${i}.select`, select, all));
  }
  for (const due of dueSets(track, steps)) {
    const chosen = due.map((i) => selection(track[i].select));
    const name = `statistics ${due.join(" ")}`;
    plans.set(due.join(), { name, chosen: (subject) => chosen.some((chooses) => chooses(subject)) });
  }
  if (!track.some(({ every }) => every === 1)) plans.set("", undefined);
  return plans;
}

/** Returns a key that identifies a part of a tensor. */
const partKey = ({ offset, rows }: Segment): string => `${offset} ${rows?.length}`;

/** Collects the tensors whose statistics one operation computes. A tensor that has two names is processed only once. */
function segmentCollector() {
  const parts = new Map<Tensor, Map<string, Segment>>();
  return {
    /** Adds a part of a tensor; returns its key. */
    add(x: Tensor, part: Segment): readonly [Tensor, string] {
      if (!parts.has(x)) parts.set(x, new Map());
      parts.get(x)!.set(partKey(part), part);
      return [x, partKey(part)];
    },
    /**
     * Returns the statistics of all parts, and a function that maps a part's key to the offset of its statistics; undefined if
     * there are no parts.
     */
    all() {
      if (parts.size === 0) return undefined;
      const offsets = new Map<Tensor, Map<string, number>>();
      let count = 0;
      const summarised = [...parts].map(([x, ofTensor]): StatisticsInput => {
        offsets.set(x, new Map([...ofTensor.keys()].map((key) => [key, STATISTICS.length * count++])));
        return { x, parts: [...ofTensor.values()] };
      });
      const at = ([x, key]: readonly [Tensor, string]) => offsets.get(x)!.get(key)!;
      return { tensor: statistics(summarised), at };
    },
  };
}

/** A tensor of statistics that becomes part of a row. All offsets are relative to the start of this tensor. */
interface RowPart {
  readonly tensor: Tensor;
  readonly columns: readonly StatColumn[];
  /**
   * Maps a parameter's name to the offset of its statistics, from which the ratio of the update's norm to the parameter's norm
   * is computed.
   */
  readonly parameters?: ReadonlyMap<string, number>;
}

interface Pending {
  readonly column: Omit<StatColumn, "at">;
  readonly of: readonly [Tensor, string];
}

const withOffsets = (pending: readonly Pending[], at: (of: Pending["of"]) => number): StatColumn[] =>
  pending.map(({ column, of }) => ({ ...column, at: at(of) }));

/** Returns the columns to compute from a flat tensor x, one for each parameter that the plan selects. */
function slotsOf(
  { chosen }: StatisticsPlan,
  { slots }: Pick<Layout, "slots">,
  segments: ReturnType<typeof segmentCollector>,
  kind: Kind,
  x: Tensor,
  suffix = "",
): Pending[] {
  return slots.filter(({ name }) => chosen({ kind, name: name + suffix })).map(({ name, offset, size }) => ({
    column: { kind, tap: name + suffix, size },
    of: segments.add(x, { offset, samples: 1, size }),
  }));
}

/** The tensors that a step has computed before it updates the parameters. */
export interface Computed {
  /** Tensors of the forward pass, keyed by tap name. */
  readonly taps: ActivationCache;
  /** Returns dL/dx for a tapped tensor x; undefined if it is not computed. */
  gradientOf(x: Tensor): Tensor | undefined;
  /** Gradient of all parameters, flat, before clipping. */
  readonly gradient: Tensor;
  /** All parameters, flat. */
  readonly parameters: Tensor;
}

/** Returns the statistics of the forward and backward pass, and of the parameters before the update. */
export function statisticsBefore(
  plan: StatisticsPlan,
  architecture: Architecture,
  layout: Layout,
  { taps, gradientOf, gradient, parameters }: Computed,
): RowPart[] {
  const { chosen } = plan;
  const segments = segmentCollector();
  const tensorColumns = (kind: Kind, tap: string, x: Tensor | undefined): Pending[] => {
    if (!x || !chosen({ kind, name: tap })) return [];
    // Position embeddings are the same for every sample.
    const samples = tap === "pos_embed" ? 1 : x.shape[0];
    const of = segments.add(x, { offset: 0, samples, size: sizeOf(x) / samples });
    return [
      { column: { kind, tap, size: sizeOf(x) }, of },
      ...(BY_HEAD.test(tap) ? headColumns(kind, tap, x) : []),
    ];
  };
  const headColumns = (kind: Kind, tap: string, x: Tensor): Pending[] => {
    const [batch, positions, heads, length] = x.shape;
    const size = positions * length;
    return Array.from({ length: heads }, (_, head) => ({
      column: { kind, tap, size: batch * size, head },
      of: segments.add(x, {
        offset: head * length,
        samples: batch,
        size,
        rows: { length, every: heads * length },
      }),
    }));
  };
  const tensors = [...taps.tensors];
  const updated = slotsOf(plan, layout, segments, "update", parameters);
  const pending = [
    ...tensors.flatMap(([tap, x]) => tensorColumns("act", tap, x)),
    ...tensors.flatMap(([tap, x]) => tensorColumns("grad", tap, gradientOf(x))),
    ...slotsOf(plan, layout, segments, "param", parameters),
    ...slotsOf(plan, layout, segments, "param_grad", gradient),
  ];
  const matrices = (kind: "act" | "grad", of: (z: Tensor) => Tensor | undefined) =>
    [...taps.attentions].flatMap(([attention, z]): RowPart[] => {
      const chosenMatrices = MATRICES.filter((matrix) => chosen({ kind, name: `${attention}.${matrix}` }));
      const tensor = chosenMatrices.length > 0 ? of(z) : undefined;
      if (!tensor) return [];
      const { attention: layer } = blockOf(architecture, layerOf(`${attention}.`)!);
      const has = [...(isBernoulli(layer) ? ["bernoulli"] : []), ...(layer.extra_keys > 0 ? ["extra"] : [])];
      const columns = chosenMatrices.map((matrix): StatColumn => {
        const tap = `${attention}.${matrix}`;
        return { kind, tap, at: 0, size: architecture.heads, attention: { matrix, has } };
      });
      return [{ tensor, columns }];
    });
  const attentions = [
    ...matrices("act", (z) => attentionStatistics(z)),
    ...matrices("grad", (z) => {
      const dz = gradientOf(z);
      return dz && attentionGradientStatistics(z, dz);
    }),
  ];
  const all = segments.all();
  if (!all) return attentions;
  const { tensor, at } = all;
  const parameterOffsets = new Map(updated.map(({ column, of }) => [column.tap, at(of)]));
  return [...attentions, { tensor, columns: withOffsets(pending, at), parameters: parameterOffsets }];
}

/** Returns the statistics of the optimizer's states after the update, and of the update itself (the change of the parameters). */
export function statisticsAfter(
  plan: StatisticsPlan,
  states: readonly OptimizerState[],
  layout: Layout,
  after: Updated,
): RowPart[] {
  const segments = segmentCollector();
  const { update } = after;
  const pending = [
    ...states.flatMap((s) => slotsOf(plan, s, segments, "opt", after.states[s.name], `.${s.name}`)),
    ...(update ? slotsOf(plan, layout, segments, "update", update) : []),
  ];
  const all = segments.all();
  return all ? [{ tensor: all.tensor, columns: withOffsets(pending, all.at) }] : [];
}

/**
 * Packs the parts into one row of a table on the device.
 *
 * @returns `effect`, the tensor that writes the row (see `Graph.effects`), and the description of the table
 */
export function statisticsRow(
  { name }: StatisticsPlan,
  parts: readonly RowPart[],
): { effect: Tensor; table: StatisticsTable } {
  const offsets: number[] = [];
  let width = 0;
  for (const { tensor } of parts) {
    offsets.push(width);
    width += Math.ceil(sizeOf(tensor) / ALIGN) * ALIGN;
  }
  const columns = parts.flatMap(({ columns }, i) =>
    columns.map((column) => ({ ...column, at: offsets[i] + column.at }))
  );
  const parameterPart = parts.findIndex(({ parameters }) => parameters);
  const withParameters = columns.map((column): StatColumn => {
    const at = column.kind === "update" ? parts[parameterPart].parameters!.get(column.tap) : undefined;
    return at === undefined ? column : { ...column, parameter: offsets[parameterPart] + at };
  });
  const packed = pack(parts.map(({ tensor }) => reshape(tensor, [sizeOf(tensor)])), offsets, width);
  const effect = record(state(name, [WINDOW, width]), packed, input("slot", [1], "u32"));
  return { effect, table: { name, width, columns: withParameters } };
}
