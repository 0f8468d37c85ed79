// Do heads find what came before? A batch of random tokens, each sequence repeated once, on which attention to the previous
// occurrence and to the token after it is measured: the test of induction heads.
import {
  ATTENTION_STATISTICS,
  attentionStatistics,
  REPEATED_STATISTICS,
} from "../../kernels/attention/statistics.ts";
import { randomStream } from "../../kernels/random/threefry.ts";
import type { Device } from "../device/device.ts";
import { input } from "../graph/structure.ts";
import { type Architecture, decoder } from "../nn/mod.ts";
import type { StatRecord } from "../track/records.ts";
import { selection } from "../track/selectors.ts";
import type { Experiment } from "./experiment.ts";
import { flat, parameterViews } from "./parameters.ts";
import { collector } from "./tracked.ts";

/** Sequences of a probe. */
const SAMPLES = 8;

/** Measures induction with the parameters on the device. */
export interface Probe extends Disposable {
  /** A record a head, of the pattern of its block. */
  records(step: number): Promise<StatRecord[]>;
}

/** Random tokens [SAMPLES, 2 L], each row its first half twice. */
function repeatedTokens({ vocabulary }: Architecture, half: number, seed: number): Uint32Array {
  const random = randomStream(seed, "induction probe");
  return Uint32Array.from(
    Array.from({ length: SAMPLES }, () => {
      const first = Array.from({ length: half }, () => random.below(vocabulary));
      return [...first, ...first];
    }).flat(),
  );
}

/** The blocks whose patterns are tracked, half of a probe's sequence, and its graph; undefined where there is no probe. */
export function probeGraph({ config, architecture, layout }: Experiment) {
  const half = Math.floor(architecture.context / 2);
  const chosen = config.track.map(({ select }) => selection(select));
  const layers = Array.from({ length: architecture.layers }, (_, n) => n).filter((n) =>
    chosen.some((chooses) => chooses({ kind: "act", name: `blocks.${n}.attn.pattern` }))
  );
  if (layers.length === 0 || half < 2) return undefined;
  const taps = collector(() => false);
  decoder(
    architecture,
    parameterViews(layout, flat(layout)),
    input("ids", [SAMPLES, 2 * half], "u32"),
    { taps },
  );
  const names = layers.map((n) => `blocks.${n}.attn`);
  const outputs = Object.fromEntries(names.map((name) => {
    return [name, attentionStatistics(taps.attentions.get(name)!, { repeated: half })];
  }));
  return { layers, names, half, graph: { outputs } };
}

/**
 * Compiles the probe of a model whose patterns are tracked; undefined where none is, or the context holds no repetition.
 *
 * induction: attention of query i >= L to key i - L + 1, the token after the previous occurrence; duplicate: to key i - L.
 * Source: Olsson et al. 2022, In-context Learning and Induction Heads.
 */
export async function inductionProbe(
  device: Device,
  experiment: Experiment,
): Promise<Probe | undefined> {
  const probe = probeGraph(experiment);
  if (!probe) return undefined;
  const { config, architecture } = experiment;
  const { layers, names, half, graph } = probe;
  const program = await device.compile(graph);
  const ids = repeatedTokens(architecture, half, config.seed);
  const width = ATTENTION_STATISTICS.length + REPEATED_STATISTICS.length;
  return {
    async records(step) {
      program.run({ ids });
      const found = await program.read(names);
      return layers.flatMap((layer, i) =>
        Array.from({ length: architecture.heads }, (_, head): StatRecord => {
          const at = head * width + ATTENTION_STATISTICS.length;
          const values = REPEATED_STATISTICS.map((name, k): [string, number] => [name, found[i][at + k]]);
          const tap = `${names[i]}.pattern`;
          return { type: "stat", step, kind: "act", tap, layer, head, ...Object.fromEntries(values) };
        })
      );
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}
