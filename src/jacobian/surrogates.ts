// Gradients under a surrogate of softmax's Jacobian: the gradients of the queries, keys, values and their projections if
// every block omits the lateral sum (diag) or skips softmax (ste) in the backward pass of training.
import { ATTENTION_CHOICES, type AttentionChoice } from "../../kernels/attention/activations.ts";
import { attentionOp } from "../../kernels/attention/op.ts";
import { attentionSizes, isApproximated } from "../../kernels/attention/sizes.ts";
import type { AttentionAttrs, AttentionSizes } from "../../kernels/attention/sizes.ts";
import { crossEntropy } from "../../kernels/cross_entropy/op.ts";
import { gradientOf } from "../../kernels/gradient.ts";
import { ancestors } from "../graph/gradient.ts";
import { input, literalValues, reshape } from "../graph/structure.ts";
import { type Node, sizeOf, type Tensor, type Values } from "../graph/tensor.ts";
import type { LanguageModel } from "../model/model.ts";
import { type Architecture, type Block, blocksOf, headMethod, type Method } from "../nn/architecture.ts";
import { METHODS } from "../nn/model_keys.ts";
import { decoder } from "../nn/decoder.ts";
import type { Measures } from "./measures.ts";

/** A model to differentiate: its parameters are views of a device's states. */
export type DifferentiatedModel = Omit<LanguageModel, "tokenizer">;

/** Returns the architecture with every block changed; `change` must keep the set of parameters the same. */
function withBlocks(architecture: Architecture, change: (block: Block) => Block): Architecture {
  return { ...architecture, blocks: blocksOf(architecture).map(change) };
}

/** True if any block supports an approximate backward pass of softmax (see `isApproximated`). */
export const hasApproximated = (architecture: Architecture): boolean =>
  blocksOf(architecture).some(({ attention }) => isApproximated(attention));

/**
 * Returns the architecture with this backward pass in every block that supports approximate ones; other blocks are
 * unchanged.
 */
export function withBackward(
  architecture: Architecture,
  backward: AttentionChoice<"backward">,
): Architecture {
  return withBlocks(architecture, (block) => {
    return isApproximated(block.attention)
      ? { ...block, attention: { ...block.attention, backward } }
      : block;
  });
}

/** Returns the architecture with backpropagation in every layer. */
export function withBackpropagation(architecture: Architecture): Architecture {
  const bp = { method: "bp" } as const;
  return withBlocks({ ...architecture, head: bp }, (block) => {
    return { ...block, attention: { ...block.attention, ...bp }, mlp: { ...block.mlp, ...bp } };
  });
}

/** Returns how errors are propagated in a model: "bp", "fa" or "dfa", or "fa+dfa" if some layers use "fa" and others "dfa". */
export function methodOf(architecture: Architecture): string {
  const blocks = blocksOf(architecture).flatMap(({ attention, mlp }) => [attention.method, mlp.method]);
  const methods = [...blocks, headMethod(architecture)];
  const others = new Set<Method>(methods.filter((method) => !METHODS[method].exact));
  return others.size ? [...others].sort().reverse().join("+") : "bp";
}

/** The attention of one layer in a graph. */
export interface LayerNode {
  /** Index of the layer's block. */
  readonly n: number;
  readonly attrs: AttentionAttrs;
  readonly sizes: AttentionSizes;
  /** The score modifier's tables: values, or the name of the output that holds them (`table0` for the output `N.table0`). */
  readonly tables: readonly (Values | string)[];
}

/** Names of the compared gradients: of the queries, keys and values, and of their projections. */
export const COMPARED = ["dq", "dk", "dv", "wq", "wk", "wv"] as const;

/**
 * Returns the attention of every block on which the loss depends, with the block's index. Hooks may have cut off other
 * blocks.
 */
function attentionNodes(loss: Tensor): [number, Node][] {
  return ancestors([loss]).filter(({ op }) => op === attentionOp).map((node) => {
    return [Number(/blocks\.(\d+)\.attn/.exec(node.path)![1]), node];
  });
}

/**
 * Builds the backward pass from the mean loss of a batch to the attention of every layer, without dropout. Inputs: `ids`
 * [rows, context] and `targets` [rows * context]. Outputs: `N.dq`, `N.dk`, `N.dv`, `N.wq`, `N.wk`, `N.wv` of each layer N, and
 * if `values` is set, also `N.q`, `N.k`, `N.v`, `N.dz`.
 *
 * @param values whether attention's inputs are also outputs
 */
export function backwardGraph(
  { architecture, parameters }: DifferentiatedModel,
  rows: number,
  { values }: { values: boolean },
) {
  const { context, vocabulary } = architecture;
  const logits = decoder(architecture, parameters, input("ids", [rows, context], "u32"));
  const flat = reshape(logits, [sizeOf(logits) / vocabulary, vocabulary]);
  const { loss } = crossEntropy(flat, input("targets", [rows * context], "u32"));
  const of = gradientOf(loss, Object.values(parameters));
  const outputs: Record<string, Tensor> = {};
  const layers = attentionNodes(loss).map(([n, node]): LayerNode => {
    const attrs = node.attrs as AttentionAttrs;
    const [q, k, v] = node.inputs;
    const weights = ["wq", "wk", "wv"].map((name) => of(parameters[`blocks.${n}.attn.${name}.weight`])!);
    [of(q)!, of(k)!, of(v)!, ...weights].forEach((x, i) => outputs[`${n}.${COMPARED[i]}`] = x);
    if (values) {
      Object.assign(outputs, {
        [`${n}.q`]: q,
        [`${n}.k`]: k,
        [`${n}.v`]: v,
        [`${n}.dz`]: of(node.outputs[0])!,
      });
    }
    const tables = node.inputs.slice(node.inputs.length - attrs.tables.length).map((table, t) => {
      const known = literalValues(table);
      if (known || !values) return known ?? "";
      outputs[`${n}.table${t}`] = table;
      return `table${t}`;
    });
    return { n, attrs, sizes: attentionSizes(node.inputs), tables };
  });
  return { outputs, layers };
}

/** A part of a tensor: the `width` numbers that begin at `offset` in each group of `stride` numbers. */
interface Part {
  readonly stride: number;
  readonly offset: number;
  readonly width: number;
}

/** Returns cos(x, y) and |x| / |y| over a part; each is null if its denominator is 0. */
function compared(x: ArrayLike<number>, y: ArrayLike<number>, { stride, offset, width }: Part) {
  let [xx, yy, xy] = [0, 0, 0];
  for (let from = offset; from < y.length; from += stride) {
    for (let e = from; e < from + width; e++) {
      xx += x[e] * x[e];
      yy += y[e] * y[e];
      xy += x[e] * y[e];
    }
  }
  const [a, b] = [Math.sqrt(xx), Math.sqrt(yy)];
  return { cos: a * b === 0 ? null : xy / (a * b), norm: b === 0 ? null : a / b };
}

/**
 * Returns the cosines and the ratios of norms (surrogate divided by exact) of the gradients of head h: its dq, the dk and
 * dv of its key/value head, and the gradients of the layer's projections, which are equal for all heads of a layer.
 *
 * @param name "diag" or "ste"
 * @param exact the exact gradients, keyed by the names of {@link COMPARED}
 */
export function compareSurrogate(
  name: string,
  h: number,
  { attrs, sizes: { H, HKV, D, DV } }: LayerNode,
  surrogate: Readonly<Record<string, Values>>,
  exact: Readonly<Record<string, Values>>,
): Measures {
  const kv = ATTENTION_CHOICES.kvHead[attrs.kvHead].keyHead(h, H, HKV);
  const parts: Record<string, Part> = {
    dq: { stride: H * D, offset: h * D, width: D },
    dk: { stride: HKV * D, offset: kv * D, width: D },
    dv: { stride: HKV * DV, offset: kv * DV, width: DV },
  };
  const measures: Measures = {};
  for (const key of COMPARED) {
    const all: Part = { stride: exact[key].length, offset: 0, width: exact[key].length };
    const { cos, norm } = compared(surrogate[key], exact[key], parts[key] ?? all);
    measures[`${key}_cos_${name}`] = cos;
    measures[`${key}_norm_${name}`] = norm;
  }
  return measures;
}
