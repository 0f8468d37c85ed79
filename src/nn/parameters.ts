// Which parameters a decoder has, in order, and how each starts. Names are paths that TransformerLens users know.
import { autoBias } from "../../kernels/attention/sizes.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { type Architecture, blockOf, type Norm, sizesOf } from "./architecture.ts";
import { INITS, NORM_ORDERS } from "./model_keys.ts";
import { NORMS } from "./norms.ts";
import { POSITIONS } from "./positions.ts";
import { userModifier } from "./user_modifier.ts";

/** What the numbers of a matrix are drawn from: a normal, one cut at two deviations, or a uniform of the deviation. */
export type Distribution = "normal" | "truncated_normal" | "uniform";

/** One parameter: its name, its shape and how it starts: drawn with mean and std, a constant where std is 0. */
export interface Parameter {
  /** `blocks.0.attn.wq.weight` */
  readonly name: string;
  /** [out, in] of a matrix, [size] of a vector. */
  readonly shape: readonly number[];
  /** Mean at the start. */
  readonly mean: number;
  /** Standard deviation at the start. */
  readonly std: number;
  /** What it is drawn from; a normal where it is left out. */
  readonly distribution?: Distribution;
  /** Weight decay takes matrices only. */
  readonly decayed: boolean;
}

/** Parameters by name, as tensors of a graph. */
export type Parameters = Readonly<Record<string, Tensor>>;

/** Standard deviation that a matrix [out, in] starts with; `residual`: it writes into the residual stream. */
export function matrixStd(
  { layers, init }: Pick<Architecture, "layers" | "init">,
  shape: readonly number[],
  residual = false,
): number {
  const own = INITS[init.name ?? "normal"];
  const std = "std" in own ? own.std(shape) : init.std;
  return residual && init.scaled_residual ? std / Math.sqrt(2 * layers) : std;
}

/** How the parameters of one model are made. */
function makers(architecture: Architecture) {
  const { bias, norm_bias, init } = architecture;
  const { distribution } = INITS[init.name ?? "normal"];
  const vector = (name: string, size: number, mean: number): Parameter => {
    return { name, shape: [size], mean, std: 0, decayed: false };
  };
  const matrix = (name: string, shape: readonly number[], residual = false): Parameter => {
    const std = matrixStd(architecture, shape, residual);
    return { name: `${name}.weight`, shape, mean: 0, std, distribution, decayed: true };
  };
  return {
    vector,
    matrix,
    /** A matrix and, where the model has them, its bias. */
    layer: (name: string, shape: readonly [number, number], residual = false): Parameter[] => [
      matrix(name, shape, residual),
      ...(bias ? [vector(`${name}.bias`, shape[0], 0)] : []),
    ],
    normed: (name: string, norm: Norm, size: number): Parameter[] => [
      vector(`${name}.weight`, size, 1),
      ...((norm_bias ?? bias) && NORMS[norm].biased ? [vector(`${name}.bias`, size, 0)] : []),
    ],
    /** Vectors that are no weights of a sum: drawn, not decayed. */
    drawn: (name: string, shape: readonly number[]): Parameter => {
      return { name, shape, mean: 0, std: init.std, decayed: false };
    },
  };
}

type Makers = ReturnType<typeof makers>;

function attentionParameters(a: Architecture, n: number, make: Makers): Parameter[] {
  const { attention } = blockOf(a, n);
  const { H, HKV, D, DV } = sizesOf(a, attention);
  const path = `blocks.${n}.attn`;
  const learned = (name: string, value: unknown, start: number): Parameter[] =>
    value === "learned" ? [make.vector(`${path}.${name}`, attention.per === "head" ? H : 1, start)] : [];
  const { extra_keys: E, qk_norm: norm } = attention;
  const own = userModifier(attention);
  const tables = own?.tables?.({ heads: H, context: a.context, block: n }) ?? {};
  return [
    ...make.layer(`${path}.wq`, [H * D, a.dim]),
    ...make.layer(`${path}.wk`, [HKV * D, a.dim]),
    ...make.layer(`${path}.wv`, [HKV * DV, a.dim]),
    ...make.layer(`${path}.wo`, [a.dim, H * DV], true),
    ...(norm ? ["q_norm", "k_norm"].flatMap((name) => make.normed(`${path}.${name}`, norm, D)) : []),
    ...(E ? [make.drawn(`${path}.extra_k`, [E, HKV * D]), make.drawn(`${path}.extra_v`, [E, HKV * DV])] : []),
    ...learned("temperature", attention.temperature, 0),
    ...learned("score_bias", attention.bias, autoBias(attention, a.context)),
    ...Object.entries(tables).map(([name, { shape, start }]): Parameter => {
      return { name: `${path}.modifier.${name}`, shape, mean: start, std: 0, decayed: false };
    }),
  ];
}

function mlpParameters(a: Architecture, n: number, make: Makers): Parameter[] {
  const { mlp } = blockOf(a, n);
  const inner = a.dim * mlp.factor;
  const path = `blocks.${n}.mlp`;
  return [
    ...(mlp.gated ? make.layer(`${path}.gate`, [inner, a.dim]) : []),
    ...make.layer(`${path}.fc`, [inner, a.dim]),
    ...make.layer(`${path}.proj`, [a.dim, inner], true),
  ];
}

/** A branch's norms and scale round its own parameters. */
function branchParameters(a: Architecture, n: number, branch: 1 | 2, make: Makers): Parameter[] {
  const { norm_order, norm, attention, mlp } = blockOf(a, n);
  const path = `blocks.${n}`;
  const { layer_scale: scale } = branch === 1 ? attention : mlp;
  return [
    ...make.normed(`${path}.ln${branch}`, norm!, a.dim),
    ...(branch === 1 ? attentionParameters : mlpParameters)(a, n, make),
    ...(NORM_ORDERS[norm_order].output ? make.normed(`${path}.ln${branch}_post`, norm!, a.dim) : []),
    ...(scale === null ? [] : [make.vector(`${path}.ls${branch}`, a.dim, scale)]),
  ];
}

/**
 * The parameters of a decoder, in order: embeddings, blocks, final norm, and the head where it is not tied.
 * Matrices start as `init.name` says: normal(0, std), the same drawn again beyond two deviations, or Xavier's uniform
 * between +-sqrt(6 / (out + in)) (Glorot and Bengio 2010); those that add to the residual stream divided by sqrt(2 layers)
 * with `scaled_residual` (Radford et al. 2019). Norms start as 1, biases as 0; LayerScale, learned temperatures and biases, and a
 * modifier's tables as their descriptions say. Nothing is allocated.
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { architectureOf, decoderParameters, parameterCount } from "./mod.ts";
 * const { model } = await loadConfig("simple_sigmoid", []);
 * parameterCount(decoderParameters(architectureOf({ ...model, vocabulary: 32100 }, 65))); // 26424704
 * ```
 */
export function decoderParameters(architecture: Architecture): Parameter[] {
  const { vocabulary, dim, layers, positions, norm, tied } = architecture;
  const make = makers(architecture);
  const all = [make.matrix("embed", [vocabulary, dim])];
  for (const [name, shape] of Object.entries(POSITIONS[positions].matrices?.(architecture) ?? {})) {
    all.push(make.matrix(name, shape));
  }
  for (let n = 0; n < layers; n++) {
    all.push(...branchParameters(architecture, n, 1, make), ...branchParameters(architecture, n, 2, make));
  }
  all.push(...make.normed("final_norm", norm, dim));
  if (!tied) all.push(make.matrix("unembed", [vocabulary, dim]));
  return all;
}

/** Number of values of some parameters. */
export function parameterCount(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
