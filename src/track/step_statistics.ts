// What a step looks at besides its loss: statistics of tensors, gradients, parameters and attention matrices, computed on
// the device in the step's own submit and kept there as one row of a table until the host reads a window of them.
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

/** The most steps of a window, whose numbers the host reads at once: rows of a table of statistics. */
export const WINDOW = 32;

/** Statistics that stand together in a row. */
export interface StatColumn {
  /** Of what. */
  readonly kind: Kind;
  /** Name of the tap or the parameter. */
  readonly tap: string;
  /** Where they begin. */
  readonly at: number;
  /** Elements of the tensor, or of its head; of attention, heads. */
  readonly size: number;
  /** Of q, k, v and z: the head, where it is of one. */
  readonly head?: number;
  /** Of attention: which matrix, and what its statistics are `only` for, in the words of their table. */
  readonly attention?: { readonly matrix: "pattern" | "scores"; readonly has: readonly string[] };
  /** Of an update: where the parameter's own begin. */
  readonly parameter?: number;
}

/** A table on the device, a row a step. */
export interface StatisticsTable {
  /** Name of the device's state that holds it. */
  readonly name: string;
  /** Numbers of a row. */
  readonly width: number;
  /** What a row holds, in the order of its records. */
  readonly columns: readonly StatColumn[];
  /** Forward passes of a step: with several, activations and their gradients are those of the last. */
  readonly passes?: number;
}

/** Which subjects a program looks at, and the name of its table. */
export interface StatisticsPlan {
  /** Name of the state that holds the table. */
  readonly name: string;
  /** Whether it looks at one. */
  chosen(subject: Subject): boolean;
}

/** Taps of the T x S matrices of an attention, which are never stored. */
const MATRICES: readonly AttentionMatrix[] = ["scores", "pattern"];

/** Taps [B, T, H, d], which have statistics of each head beside those of the whole. */
const BY_HEAD = /\.attn\.[qkvz]$/;

/** Names of all taps of a model, in the order of its forward pass. */
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

/** Everything that `track` may choose from. */
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
 * The programs that the steps of a run need: for every set of entries of `track` that is due together, what is looked
 * at; and "" where nothing is.
 *
 * @throws {UserError} where a selector matches nothing
 */
export function looksOf(
  track: readonly Watched[],
  steps: number,
  subjects: () => readonly Subject[],
): Map<string, StatisticsPlan | undefined> {
  const looks = new Map<string, StatisticsPlan | undefined>();
  if (track.length > 0) {
    const all = subjects();
    track.forEach(({ select }, i) => checkSelectors(`track.${i}.select`, select, all));
  }
  for (const due of dueSets(track, steps)) {
    const chosen = due.map((i) => selection(track[i].select));
    const name = `statistics ${due.join(" ")}`;
    looks.set(due.join(), { name, chosen: (subject) => chosen.some((chooses) => chooses(subject)) });
  }
  if (!track.some(({ every }) => every === 1)) looks.set("", undefined);
  return looks;
}

/** What tells a part of a tensor from the others that are asked for. */
const partKey = ({ offset, rows }: Segment): string => `${offset} ${rows?.length}`;

/** Tensors to be summarised together; one under two names is summarised once. */
function gathering() {
  const parts = new Map<Tensor, Map<string, Segment>>();
  return {
    /** Asks for a part, by which its row is found again. */
    add(x: Tensor, part: Segment): readonly [Tensor, string] {
      if (!parts.has(x)) parts.set(x, new Map());
      parts.get(x)!.set(partKey(part), part);
      return [x, partKey(part)];
    },
    /** Statistics of all parts, and where in them those of one begin; undefined where there is none. */
    all() {
      if (parts.size === 0) return undefined;
      const places = new Map<Tensor, Map<string, number>>();
      let count = 0;
      const summarised = [...parts].map(([x, own]): StatisticsInput => {
        places.set(x, new Map([...own.keys()].map((key) => [key, STATISTICS.length * count++])));
        return { x, parts: [...own.values()] };
      });
      const at = ([x, key]: readonly [Tensor, string]) => places.get(x)!.get(key)!;
      return { tensor: statistics(summarised), at };
    },
  };
}

/** A part of a row that has been computed: columns count from its start. */
interface Piece {
  readonly tensor: Tensor;
  readonly columns: readonly StatColumn[];
  /** Where the statistics of the parameters begin that updates are compared with. */
  readonly parameters?: ReadonlyMap<string, number>;
}

interface Wanted {
  readonly column: Omit<StatColumn, "at">;
  readonly of: readonly [Tensor, string];
}

const placed = (wanted: readonly Wanted[], at: (of: Wanted["of"]) => number): StatColumn[] =>
  wanted.map(({ column, of }) => ({ ...column, at: at(of) }));

/** Parts of a flat tensor: one for each chosen parameter. */
function slotsOf(
  { chosen }: StatisticsPlan,
  { slots }: Pick<Layout, "slots">,
  gathered: ReturnType<typeof gathering>,
  kind: Kind,
  x: Tensor,
  suffix = "",
): Wanted[] {
  return slots.filter(({ name }) => chosen({ kind, name: name + suffix })).map(({ name, offset, size }) => ({
    column: { kind, tap: name + suffix, size },
    of: gathered.add(x, { offset, samples: 1, size }),
  }));
}

/** What a step has computed before its parameters change. */
export interface Computed {
  /** Tensors by tap. */
  readonly taps: ActivationCache;
  /** dL/dx of a tapped tensor. */
  gradientOf(x: Tensor): Tensor | undefined;
  /** Of all parameters, flat, before it is clipped. */
  readonly gradient: Tensor;
  /** All parameters, flat. */
  readonly parameters: Tensor;
}

/** Statistics of what the forward and the backward pass computed, and of the parameters that they did it with. */
export function lookBefore(
  look: StatisticsPlan,
  architecture: Architecture,
  layout: Layout,
  { taps, gradientOf, gradient, parameters }: Computed,
): Piece[] {
  const { chosen } = look;
  const gathered = gathering();
  const whole = (kind: Kind, tap: string, x: Tensor | undefined): Wanted[] => {
    if (!x || !chosen({ kind, name: tap })) return [];
    // The rows that a position scheme adds are the same for every sample.
    const samples = tap === "pos_embed" ? 1 : x.shape[0];
    const of = gathered.add(x, { offset: 0, samples, size: sizeOf(x) / samples });
    return [
      { column: { kind, tap, size: sizeOf(x) }, of },
      ...(BY_HEAD.test(tap) ? byHead(kind, tap, x) : []),
    ];
  };
  const byHead = (kind: Kind, tap: string, x: Tensor): Wanted[] => {
    const [batch, positions, heads, length] = x.shape;
    const size = positions * length;
    return Array.from({ length: heads }, (_, head) => ({
      column: { kind, tap, size: batch * size, head },
      of: gathered.add(x, {
        offset: head * length,
        samples: batch,
        size,
        rows: { length, every: heads * length },
      }),
    }));
  };
  const tensors = [...taps.tensors];
  const updated = slotsOf(look, layout, gathered, "update", parameters);
  const wanted = [
    ...tensors.flatMap(([tap, x]) => whole("act", tap, x)),
    ...tensors.flatMap(([tap, x]) => whole("grad", tap, gradientOf(x))),
    ...slotsOf(look, layout, gathered, "param", parameters),
    ...slotsOf(look, layout, gathered, "param_grad", gradient),
  ];
  const matrices = (kind: "act" | "grad", of: (z: Tensor) => Tensor | undefined) =>
    [...taps.attentions].flatMap(([attention, z]): Piece[] => {
      const wanted = MATRICES.filter((matrix) => chosen({ kind, name: `${attention}.${matrix}` }));
      const tensor = wanted.length > 0 ? of(z) : undefined;
      if (!tensor) return [];
      const { attention: layer } = blockOf(architecture, layerOf(`${attention}.`)!);
      const has = [...(isBernoulli(layer) ? ["bernoulli"] : []), ...(layer.extra_keys > 0 ? ["extra"] : [])];
      const columns = wanted.map((matrix): StatColumn => {
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
  const all = gathered.all();
  if (!all) return attentions;
  const { tensor, at } = all;
  const compared = new Map(updated.map(({ column, of }) => [column.tap, at(of)]));
  return [...attentions, { tensor, columns: placed(wanted, at), parameters: compared }];
}

/** Statistics of what the step did: the optimizer's states after it, and what it added to the parameters. */
export function lookAfter(
  look: StatisticsPlan,
  states: readonly OptimizerState[],
  layout: Layout,
  after: Updated,
): Piece[] {
  const gathered = gathering();
  const { update } = after;
  const wanted = [
    ...states.flatMap((own) => slotsOf(look, own, gathered, "opt", after.states[own.name], `.${own.name}`)),
    ...(update ? slotsOf(look, layout, gathered, "update", update) : []),
  ];
  const all = gathered.all();
  return all ? [{ tensor: all.tensor, columns: placed(wanted, all.at) }] : [];
}

/**
 * The pieces as one row of a table on the device.
 *
 * @returns the tensor to compute for its effect, and what the table holds
 */
export function statisticsRow(
  { name }: StatisticsPlan,
  pieces: readonly Piece[],
): { effect: Tensor; table: StatisticsTable } {
  const offsets: number[] = [];
  let width = 0;
  for (const { tensor } of pieces) {
    offsets.push(width);
    width += Math.ceil(sizeOf(tensor) / ALIGN) * ALIGN;
  }
  const columns = pieces.flatMap(({ columns }, i) =>
    columns.map((column) => ({ ...column, at: offsets[i] + column.at }))
  );
  const compared = pieces.findIndex(({ parameters }) => parameters);
  const withParameters = columns.map((column): StatColumn => {
    const at = column.kind === "update" ? pieces[compared].parameters!.get(column.tap) : undefined;
    return at === undefined ? column : { ...column, parameter: offsets[compared] + at };
  });
  const packed = pack(pieces.map(({ tensor }) => reshape(tensor, [sizeOf(tensor)])), offsets, width);
  const effect = record(state(name, [WINDOW, width]), packed, input("slot", [1], "u32"));
  return { effect, table: { name, width, columns: withParameters } };
}
