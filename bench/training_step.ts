// The training step of a configuration on random tokens, for benchmarks, and the same step with naive kernels.
import { attentionOp, gradientOp } from "../kernels/attention/op.ts";
import type { AttentionAttrs } from "../kernels/attention/sizes.ts";
import { matmulOp } from "../kernels/matmul/op.ts";
import { randomStream } from "../src/base/random.ts";
import type { Config } from "../src/config/mod.ts";
import { charTokenizer } from "../src/data/mod.ts";
import type { Graph } from "../src/device/plan.ts";
import { ancestors } from "../src/graph/gradient.ts";
import { apply, type Tensor, type Values } from "../src/graph/tensor.ts";
import { type Model, modelOf } from "../src/model/model.ts";
import type { Layout } from "../src/model/layout.ts";
import { stepFeeds, type StepGraph, stepGraph } from "../src/train/step_graph.ts";
import { naiveAttention, naiveAttentionGradient } from "./naive_attention.ts";
import { naiveMatmulOp } from "./naive_matmul.ts";

/** Vocabulary size of tiny_shakespeare. */
export const VOCABULARY = 65;

/** A configuration's training step, the layout of its parameters and the inputs of its steps. */
export interface TrainingStep {
  readonly step: StepGraph;
  readonly model: Model;
  readonly layout: Layout;
  /** The inputs of the first step. */
  readonly feeds: Record<string, Values>;
  /** The inputs of a step, counted from 0: the same batch, the optimizer's corrections of that step. */
  feedsOf(step: number): Record<string, Values>;
}

/** The training step of a configuration, with random tokens. */
export function trainingStep(config: Config): TrainingStep {
  const characters = String.fromCharCode(...Array.from({ length: VOCABULARY }, (_, i) => 32 + i));
  const model = modelOf(config, charTokenizer(characters));
  const { architecture, layout } = model;
  const rng = randomStream(1, "bench tokens");
  const tokens = () =>
    Uint32Array.from({ length: config.train.batch * architecture.context }, () => rng.below(VOCABULARY));
  const batches = Array.from(
    { length: config.train.accumulate },
    () => ({ ids: tokens(), targets: tokens() }),
  );
  const feedsOf = (step: number) => stepFeeds(config, batches, { step, lr: 1e-3, slot: 0 });
  return { step: stepGraph(architecture, layout, config), model, layout, feeds: feedsOf(0), feedsOf };
}

/** The same graph with every matrix product and every attention computed by the naive kernels. */
export function naiveGraph({ outputs = {}, effects = [] }: Graph): Graph {
  const now = new Map<Tensor, Tensor>();
  const patterns = new Map<Tensor, Tensor>();
  for (const node of ancestors([...Object.values(outputs), ...effects])) {
    const inputs = node.inputs.map((x) => now.get(x)!);
    const activation = (node.attrs as AttentionAttrs | undefined)?.activation as "softmax";
    let replaced: readonly Tensor[];
    if (node.op === attentionOp) {
      const [z, pattern] = naiveAttention(inputs, activation);
      patterns.set(inputs[0], pattern);
      replaced = [z, pattern];
    } else if (node.op === gradientOp) {
      const [q, k, v, dz] = inputs;
      replaced = naiveAttentionGradient([q, k, v], dz, patterns.get(q)!, activation);
    } else {
      replaced = apply(node.op === matmulOp ? naiveMatmulOp : node.op, inputs, node.attrs as never);
    }
    node.outputs.forEach((y, i) => now.set(y, replaced[i]));
  }
  return {
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, y]) => [name, now.get(y)!])),
    effects: effects.map((y) => now.get(y)!),
  };
}
