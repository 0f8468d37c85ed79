// One block: two branches that add to the residual stream, each normalised before, after, or both.
import { add, multiply } from "../../kernels/elementwise/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import { attentionValues } from "./attention_layer.ts";
import { type Block, blockOf, type Method } from "./architecture.ts";
import type { Forward } from "./forward.ts";
import { mlpValues } from "./mlp.ts";
import { METHODS, NORM_ORDERS } from "./model_keys.ts";
import { matrixStd } from "./parameters.ts";

/** What a branch needs to be added to the stream. */
interface Branch {
  /** Where its taps and parameters are: `blocks.0.attn` */
  readonly path: string;
  /** The matrix that writes into the stream. */
  readonly matrix: string;
  readonly number: 1 | 2;
  readonly scaled: boolean;
  readonly method: Method;
  /** From the normalised stream to what the matrix takes. */
  values(x: Tensor): Tensor;
}

/** x + branch, under the names `PATH.proj` and `PATH_out` that taps know. */
function addBranch(n: number, block: Block, branch: Branch, x: Tensor, y: Tensor, forward: Forward): Tensor {
  const { taps, parameters } = forward;
  const { path, number, method } = branch;
  const name = `${path}.${branch.matrix}`;
  const { output } = NORM_ORDERS[block.norm_order];
  const { direct } = METHODS[method];
  const apart = output || direct || branch.scaled || forward.drops(block.dropout!) ||
    taps.wants(`${path}_out`) ||
    taps.wants(`${path}.proj`);
  // One kernel where nothing stands between the projection and the sum.
  if (!apart) return forward.project(name, y, { addend: x, method, residual: true });
  let out = taps.tap(`${path}.proj`, forward.project(name, y, { method, residual: true }));
  if (direct) {
    // In place of the stream's gradient, as if the head alone stood between this layer and the loss.
    const { vocabulary, dim } = forward.architecture;
    out = forward.direct(`${name} output`, out, matrixStd(forward.architecture, [vocabulary, dim]));
  }
  out = forward.drop(out, block.dropout!);
  if (output) out = forward.norm(block.norm!, `blocks.${n}.ln${number}_post`, out);
  if (branch.scaled) out = multiply(out, parameters[`blocks.${n}.ls${number}`]);
  return add(x, taps.tap(`${path}_out`, out));
}

function applyBranch(n: number, block: Block, branch: Branch, x: Tensor, forward: Forward): Tensor {
  const name = `blocks.${n}.ln${branch.number}`;
  const norm = (y: Tensor) => forward.taps.tap(name, forward.norm(block.norm!, name, y));
  const { input, sum } = NORM_ORDERS[block.norm_order];
  const y = addBranch(n, block, branch, x, branch.values(input ? norm(x) : x), forward);
  return sum ? norm(y) : y;
}

/**
 * Block n of a decoder: the stream x [B, T, D] with attention and then the MLP added.
 *
 * @param rotate what is done to queries and keys for their position
 */
export function applyBlock(n: number, x: Tensor, forward: Forward, rotate: (x: Tensor) => Tensor): Tensor {
  const block = blockOf(forward.architecture, n);
  const { taps } = forward;
  const path = `blocks.${n}`;
  const attention: Branch = {
    path: `${path}.attn`,
    matrix: "wo",
    number: 1,
    scaled: block.attention.layer_scale !== null,
    method: block.attention.method,
    values: (y) => attentionValues(n, y, forward, rotate),
  };
  const mlp: Branch = {
    path: `${path}.mlp`,
    matrix: "proj",
    number: 2,
    scaled: block.mlp.layer_scale !== null,
    method: block.mlp.method,
    values: (y) => mlpValues(n, y, forward),
  };
  x = taps.tap(`${path}.resid_pre`, x);
  x = taps.tap(`${path}.resid_mid`, applyBranch(n, block, attention, x, forward));
  return taps.tap(`${path}.resid_post`, applyBranch(n, block, mlp, x, forward));
}
