// Reads the golden numbers PyTorch made (README.md says how), and makes again what they leave out: the
// initial parameters and the sign vectors of the projections both come from threefry, so that a few kilobytes
// stand for the 0.8 million entries of the model's gradient.

import { randomStream } from "../../src/base/random.ts";
import { didYouMean, UserError } from "../../src/base/errors.ts";

/** A dense row-major tensor. */
export interface GoldenTensor {
  shape: number[];
  data: Float32Array<ArrayBuffer>;
}

/** One batch: token ids and the ids that follow them, both [batch, context] row-major. */
export interface GoldenBatch {
  ids: Uint32Array<ArrayBuffer>;
  targets: Uint32Array<ArrayBuffer>;
}

/** Ten steps of training: the loss before each update (nats) and the global gradient norm before clipping. */
export interface GoldenSteps {
  losses: number[];
  gradient_norms: number[];
}

/** How a parameter is made, mean + std * normal, and what shows that it was made right. */
export interface GoldenParameter {
  shape: number[];
  mean: number;
  std: number;
  sum: number;
  sum_squares: number;
  last: number;
}

/** What is kept of one parameter's gradient at step 1, before clipping. */
export interface GoldenGradient {
  /** L2 norm. */
  norm: number;
  /** Relative L2 error of PyTorch's own float32 gradient: what a good float32 implementation reaches. */
  float32_error: number;
  /** Dot products with the sign vectors of `randomStream(seed, "golden projection NAME k")`. */
  projections: number[];
  /** Number of entries stored, and where they begin in nanogpt.bin. */
  samples: number;
  byte: number;
}

/** The whole of nanogpt.json. */
export interface NanoGptGolden {
  made_with: Record<string, string>;
  model: { layers: number; heads: number; dim: number; context: number; vocabulary: number; eps: number };
  training: {
    seed: number;
    steps: number;
    batch: number;
    lr: number;
    betas: [number, number];
    eps: number;
    decay: number;
    clip: number;
  };
  float64: GoldenSteps;
  float32: GoldenSteps;
  parameters: Record<string, GoldenParameter>;
  gradients: Record<string, GoldenGradient>;
}

/** A tensor of ops.json in float64, row-major; `shape` is empty for a scalar. */
export interface OpTensor {
  shape: number[];
  data: number[];
}

/** Tensors by name. */
export type OpTensors<Names extends string> = Record<Names, OpTensor>;

/** The whole of ops.json: `dy` (`do`, `dloss`) is the upstream gradient, any other `dNAME` that of NAME. */
export interface OpsGolden {
  made_with: Record<string, string>;
  layer_norm: { eps: number } & OpTensors<"x" | "weight" | "bias" | "y" | "dy" | "dx" | "dweight" | "dbias">;
  rms_norm: { eps: number } & OpTensors<"x" | "weight" | "y" | "dy" | "dx" | "dweight">;
  gelu: OpTensors<"x" | "y" | "dy" | "dx">;
  gelu_tanh: OpTensors<"x" | "y" | "dy" | "dx">;
  relu: OpTensors<"x" | "y" | "dy" | "dx">;
  cross_entropy: { ignore_index: number } & OpTensors<"targets" | "logits" | "loss" | "dloss" | "dlogits">;
  softmax_attention: { scale: number } & OpTensors<"q" | "k" | "v" | "o" | "do" | "dq" | "dk" | "dv">;
  sigmoid_attention:
    & { scale: number; bias: number }
    & OpTensors<
      "q" | "k" | "v" | "o" | "do" | "dq" | "dk" | "dv"
    >;
  embedding: OpTensors<"ids" | "weight" | "y" | "dy" | "dweight">;
}

function readJson(name: string): unknown {
  return JSON.parse(Deno.readTextFileSync(new URL(name, import.meta.url)));
}

function readBinary(): ArrayBuffer {
  return Deno.readFileSync(new URL("nanogpt.bin", import.meta.url)).buffer;
}

/**
 * nanogpt.json: sizes, AdamW's settings, losses and gradient norms of ten steps in float64 and float32, and
 * the records of the parameters and of step 1's gradients. Needs read permission for this folder.
 *
 * @example
 * ```ts
 * import { nanogptGolden } from "./golden.ts";
 * nanogptGolden().float64.losses[0]; // 4.207081592169544
 * ```
 */
export function nanogptGolden(): NanoGptGolden {
  return readJson("nanogpt.json") as NanoGptGolden;
}

/**
 * ops.json: inputs, outputs and gradients of single operations in float64. Needs read permission for this
 * folder.
 *
 * @example
 * ```ts
 * import { opsGolden } from "./golden.ts";
 * opsGolden().softmax_attention.q.shape; // [2, 5, 2, 3], that is B T H d
 * ```
 */
export function opsGolden(): OpsGolden {
  return readJson("ops.json") as OpsGolden;
}

/**
 * The initial parameters of the golden run by name: value i is float32(mean + std * normal i) with the
 * normals of `randomStream(1337, "golden " + name)`. Matrices are [out, in]; the head is `embed.weight`.
 *
 * @example
 * ```ts
 * import { goldenParameters } from "./golden.ts";
 * goldenParameters().get("blocks.0.mlp.fc.weight")?.shape; // [512, 128]
 * ```
 */
export function goldenParameters(): Map<string, GoldenTensor> {
  const { parameters, training } = nanogptGolden();
  const made = Object.entries(parameters).map(([name, { shape, mean, std }]) => {
    const { normal } = randomStream(training.seed, "golden " + name);
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => mean + std * normal());
    return [name, { shape, data }] as const;
  });
  return new Map(made);
}

/**
 * The ten batches of the golden run, ids and targets [12, 64] each, in the order of the steps.
 *
 * @example
 * ```ts
 * import { goldenBatches } from "./golden.ts";
 * goldenBatches()[0].ids.length; // 768
 * ```
 */
export function goldenBatches(): GoldenBatch[] {
  const { model, training } = nanogptGolden();
  const size = training.batch * model.context;
  const bytes = new Uint8Array(readBinary(), 0, training.steps * 2 * size);
  return Array.from({ length: training.steps }, (_, step) => ({
    ids: Uint32Array.from(bytes.subarray(2 * step * size, (2 * step + 1) * size)),
    targets: Uint32Array.from(bytes.subarray((2 * step + 1) * size, (2 * step + 2) * size)),
  }));
}

/** The +-1 projections sum_i s_k,i g_i of a gradient, s_k,i = 1 - 2 (bit 0 of draw i of stream k). */
function projections(seed: number, name: string, gradient: Float32Array, count: number): number[] {
  return Array.from({ length: count }, (_, k) => {
    const { uint32 } = randomStream(seed, `golden projection ${name} ${k}`);
    return gradient.reduce((sum, value) => sum + ((uint32() & 1) === 0 ? value : -value), 0);
  });
}

/**
 * Estimates the relative L2 error |gradient - golden| / |golden| of one parameter's gradient at step 1 before
 * clipping, from what is stored of it, and returns the larger of two estimates:
 * sqrt(mean_k (p_k - golden p_k)^2) / norm over 8 projections on signs, whose expected square is the true one;
 * and sqrt(n / m sum_j (g_j - golden g_j)^2) / norm over m of the n entries (all of them up to
 * 512, where it is exact). An error anywhere moves the projections: the estimate is below half the true error
 * about one time in fifty, below a third one time in a thousand. NaN where the gradient has one.
 *
 * @param name the parameter, such as `blocks.0.attn.wq.weight`
 * @param gradient the whole gradient, row-major in the parameter's shape
 * @throws {UserError} where no parameter has that name, or the length is not the parameter's
 *
 * @example
 * ```ts
 * import { gradientError } from "./golden.ts";
 * gradientError("final_norm.weight", new Float32Array(128)) > 0.99; // true: all of it is missing
 * ```
 */
export function gradientError(name: string, gradient: Float32Array): number {
  const { gradients, parameters, training } = nanogptGolden();
  if (!Object.hasOwn(gradients, name)) {
    const known = didYouMean(name, Object.keys(gradients));
    throw new UserError(
      `Golden gradient "${name}": found no such parameter, expected one of the model's.${known}`,
    );
  }
  const { norm, projections: golden, samples, byte } = gradients[name];
  const { shape } = parameters[name];
  const n = shape.reduce((a, b) => a * b, 1);
  if (gradient.length !== n) {
    throw new UserError(
      `Golden gradient "${name}": found ${gradient.length} values, expected ${n} ([${shape.join(", ")}]).`,
    );
  }
  const entries = new Float32Array(readBinary(), byte, samples);
  const entryErrors = entries.map((value, j) => gradient[Math.floor((j * (n - 1)) / (samples - 1))] - value);
  const projected = projections(training.seed, name, gradient, golden.length);
  const fromProjections = Math.hypot(...projected.map((p, k) => p - golden[k])) / Math.sqrt(golden.length);
  const fromEntries = Math.hypot(...entryErrors) * Math.sqrt(n / samples);
  return Math.max(fromProjections, fromEntries) / norm;
}
