// The parameters of a decoder, in order, and their initialisation. Their names follow TransformerLens.
import { autoBias } from "../../kernels/attention/sizes.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { type Architecture, blockOf, type Norm, sizesOf } from "./architecture.ts";
import { INITS, NORM_ORDERS } from "./model_keys.ts";
import { NORMS } from "./norms.ts";
import { POSITIONS } from "./positions.ts";
import { userModifier } from "./user_modifier.ts";

/**
 * Initial distribution of a matrix: normal; normal, with values beyond two standard deviations redrawn; or uniform with the
 * same std.
 */
export type Distribution = "normal" | "truncated_normal" | "uniform";

/** A parameter and the distribution of its initial values. If `std` is 0, all initial values equal `mean`. */
export interface Parameter {
  /** Name, for example `blocks.0.attn.wq.weight`. */
  readonly name: string;
  /** [out, in] for a matrix, [size] for a vector. */
  readonly shape: readonly number[];
  /** Initial mean. */
  readonly mean: number;
  /** Initial standard deviation. */
  readonly std: number;
  /** Initial distribution. Default: normal. */
  readonly distribution?: Distribution;
  /** Whether weight decay applies to the parameter; it applies only to matrices. */
  readonly decayed: boolean;
}

/** Parameters as tensors of a graph, keyed by name. */
export type Parameters = Readonly<Record<string, Tensor>>;

/**
 * Returns the initial standard deviation of a matrix [out, in]; `residual` is true if the matrix writes into the residual
 * stream.
 */
export function matrixStd(
  { layers, init }: Pick<Architecture, "layers" | "init">,
  shape: readonly number[],
  residual = false,
): number {
  const initialiser = INITS[init.name ?? "normal"];
  const std = "std" in initialiser ? initialiser.std(shape) : init.std;
  return residual && init.scaled_residual ? std / Math.sqrt(2 * layers) : std;
}

/** Returns functions that describe the parameters of a model. */
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
    /** Describes a matrix and, if the model has biases, its bias. */
    layer: (name: string, shape: readonly [number, number], residual = false): Parameter[] => [
      matrix(name, shape, residual),
      ...(bias ? [vector(`${name}.bias`, shape[0], 0)] : []),
    ],
    normed: (name: string, norm: Norm, size: number): Parameter[] => [
      vector(`${name}.weight`, size, 1),
      ...((norm_bias ?? bias) && NORMS[norm].biased ? [vector(`${name}.bias`, size, 0)] : []),
    ],
    /** Describes a normally distributed parameter without weight decay. */
    normal: (name: string, shape: readonly number[]): Parameter => {
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
  const user = userModifier(attention);
  const tables = user?.tables?.({ heads: H, context: a.context, block: n }) ?? {};
  return [
    ...make.layer(`${path}.wq`, [H * D, a.dim]),
    ...make.layer(`${path}.wk`, [HKV * D, a.dim]),
    ...make.layer(`${path}.wv`, [HKV * DV, a.dim]),
    ...make.layer(`${path}.wo`, [a.dim, H * DV], true),
    ...(norm ? ["q_norm", "k_norm"].flatMap((name) => make.normed(`${path}.${name}`, norm, D)) : []),
    ...(E
      ? [make.normal(`${path}.extra_k`, [E, HKV * D]), make.normal(`${path}.extra_v`, [E, HKV * DV])]
      : []),
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

/** Returns the parameters of a branch, including its norms and LayerScale. */
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
 * The parameters of a decoder, in order: embeddings, blocks, final norm, and the output head if it is not tied. `init.name` is
 * the distribution of matrices: normal(0, std), the same with values beyond two standard deviations redrawn, or Xavier uniform
 * within +-sqrt(6 / (out + in)) (Glorot and Bengio 2010). With `scaled_residual`, the standard deviation of the matrices that
 * write into the residual stream is divided by sqrt(2 layers) (Radford et al. 2019). The weights of norms start at 1, biases at
 * 0. LayerScale, learned temperatures, learned score biases and the tables of a modifier start at the values documented for
 * their options. No memory is allocated for the values.
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

/** Total number of values in the parameters. */
export function parameterCount(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
