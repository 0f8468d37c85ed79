// The training step that benches run: a configuration's own, on random tokens.
import type { Config } from "../src/config/mod.ts";
import { randomStream } from "../kernels/random/threefry.ts";
import type { Values } from "../src/graph/tensor.ts";
import { type Architecture, decoderParameters } from "../src/nn/decoder.ts";
import { type Layout, layout } from "../src/train/parameters.ts";
import { stepFeeds, type StepGraph, stepGraph } from "../src/train/programs.ts";

/** Characters of tiny_shakespeare. */
export const VOCABULARY = 65;

/** A configuration's step, its parameters' layout and one step's inputs. */
export interface TrainingStep {
  readonly step: StepGraph;
  readonly layout: Layout;
  readonly feeds: Record<string, Values>;
}

/** The training step of a configuration, with random tokens. */
export function trainingStep(config: Config): TrainingStep {
  const architecture: Architecture = { ...config.model, vocabulary: VOCABULARY };
  const flat = layout(decoderParameters(architecture));
  const rng = randomStream(1, "bench tokens");
  const tokens = () =>
    Uint32Array.from({ length: config.train.batch * architecture.context }, () => rng.below(VOCABULARY));
  const batches = Array.from(
    { length: config.train.accumulate },
    () => ({ ids: tokens(), targets: tokens() }),
  );
  return {
    step: stepGraph(architecture, flat, config),
    layout: flat,
    feeds: stepFeeds(config, batches, { step: 0, lr: 1e-3, slot: 0 }),
  };
}
