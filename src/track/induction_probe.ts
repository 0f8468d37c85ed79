// A test for induction heads: on sequences of random tokens, each repeated once, it measures the attention of a token to its
// previous occurrence and to the token after that occurrence.
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import { ATTENTION_STATISTICS, REPEATED_STATISTICS } from "../../kernels/attention_statistics/table.ts";
import { randomStream } from "../base/random.ts";
import type { Device } from "../device/device.ts";
import { ALIGN, input, pack, record, reshape, state } from "../graph/structure.ts";
import { sizeOf, type Values } from "../graph/tensor.ts";
import { type Architecture, decoder } from "../nn/mod.ts";
import type { StatRecord } from "../log/records.ts";
import { dueAt, selection } from "./selectors.ts";
import type { Model } from "../model/model.ts";
import { flat, parameterViews } from "../model/layout.ts";
import { activationCache } from "../model/taps.ts";
import { WINDOW } from "./step_statistics.ts";

/**
 * A probe has one sequence per 6 rows of a training step, but at most 8 sequences. It must be cheap, because it may run at
 * every step.
 */
const MAX_SAMPLES = 8;
const ROWS_PER_SAMPLE = 6;

const samplesOf = ({ train: { batch, accumulate } }: Model["config"]): number =>
  Math.min(MAX_SAMPLES, Math.ceil(batch * accumulate / ROWS_PER_SAMPLE));

/** Name of the device state that holds the probe's table, one row per step. */
const TABLE = "repeated statistics";

/** Measures the induction statistics of the parameters that are on the device. */
export interface Probe extends Disposable {
  /** Name of the table on the device. */
  readonly table: string;
  /** If the probe is due at a step (1-based), runs it and writes row `slot` of the table. Returns the blocks that are due. */
  run(step: number, slot: number): readonly number[];
  /** Returns one record per head of the blocks `layers`, from row `slot` of the table as read from the device. */
  records(step: number, layers: readonly number[], slot: number, table: Values): StatRecord[];
}

/** Returns random tokens [samples, 2 half]; the second half of each row repeats the first half. */
function repeatedTokens(
  { vocabulary }: Architecture,
  samples: number,
  half: number,
  seed: number,
): Uint32Array {
  const random = randomStream(seed, "induction probe");
  return Uint32Array.from(
    Array.from({ length: samples }, () => {
      const first = Array.from({ length: half }, () => random.below(vocabulary));
      return [...first, ...first];
    }).flat(),
  );
}

/** Returns, for each entry of `track`, the indices of the blocks whose attention pattern it selects. */
function chosenLayers({ config, architecture }: Model): number[][] {
  const layers = Array.from({ length: architecture.layers }, (_, n) => n);
  return config.track.map(({ select }) => {
    const chooses = selection(select);
    return layers.filter((n) => chooses({ kind: "act", name: `blocks.${n}.attn.pattern` }));
  });
}

/**
 * Returns the probe's graph and sizes, the blocks whose patterns are tracked, and the entries of `track` that select these
 * patterns. Returns undefined if no pattern is tracked, or if the context is shorter than 4 tokens.
 */
export function probeGraph(model: Model) {
  const { config, architecture, layout } = model;
  const samples = samplesOf(config);
  const half = Math.floor(architecture.context / 2);
  const chosen = chosenLayers(model);
  const layers = [...new Set(chosen.flat())].sort((a, b) => a - b);
  if (layers.length === 0 || half < 2) return undefined;
  const taps = activationCache();
  decoder(
    architecture,
    parameterViews(layout, flat(layout)),
    input("ids", [samples, 2 * half], "u32"),
    { taps },
  );
  const parts = layers.map((n) => {
    const statistics = attentionStatistics(taps.attentions.get(`blocks.${n}.attn`)!, { repeated: half });
    return reshape(statistics, [sizeOf(statistics)]);
  });
  const each = Math.ceil(sizeOf(parts[0]) / ALIGN) * ALIGN;
  const width = each * layers.length;
  const row = pack(parts, layers.map((_, i) => i * each), width);
  const effect = record(state(TABLE, [WINDOW, width]), row, input("slot", [1], "u32"));
  const watched = config.track.filter((_, n) => chosen[n].length > 0);
  return { layers, samples, half, each, width, watched, graph: { effects: [effect] } };
}

/**
 * Compiles the probe of a model. Returns undefined if no attention pattern is tracked, or if the context is shorter than 4
 * tokens. The probe runs, with the updated parameters, after each step at which an entry of `track` that selects a pattern is
 * due.
 *
 * With L tokens per half, the token at position i >= L equals the token at position i - L. `duplicate` is the attention of
 * query i to key i - L, the earlier occurrence; `induction` is the attention of query i to key i - L + 1, the token after it.
 * Source: Olsson et al. 2022, In-context Learning and Induction Heads.
 */
export async function inductionProbe(device: Device, model: Model): Promise<Probe | undefined> {
  const probe = probeGraph(model);
  if (!probe) return undefined;
  const { config, architecture } = model;
  const { layers, samples, half, each, width, graph } = probe;
  const program = await device.compile(graph);
  const ids = repeatedTokens(architecture, samples, half, config.seed);
  const columns = ATTENTION_STATISTICS.length + REPEATED_STATISTICS.length;
  const chosen = chosenLayers(model);
  return {
    table: TABLE,
    run(step, slot) {
      const now = dueAt(config.track, step).flatMap((n) => chosen[n]);
      const due = layers.filter((layer) => now.includes(layer));
      if (due.length > 0) program.run({ ids, slot: Uint32Array.of(slot) });
      return due;
    },
    records(step, due, slot, table) {
      return due.flatMap((layer) =>
        Array.from({ length: architecture.heads }, (_, head): StatRecord => {
          const block = slot * width + layers.indexOf(layer) * each;
          const at = block + head * columns + ATTENTION_STATISTICS.length;
          const values = REPEATED_STATISTICS.map((name, k): [string, number] => [name, table[at + k]]);
          const tap = `blocks.${layer}.attn.pattern`;
          const common = { type: "stat", step, kind: "act", tap, layer, head, input: "repeated" } as const;
          return { ...common, ...Object.fromEntries(values) };
        })
      );
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}
