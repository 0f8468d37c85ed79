// One block: two branches, attention and MLP, that add to the residual stream, each with norms as its `norm_order` says.
import { add, multiply } from "../../kernels/elementwise/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import { attentionValues } from "./attention_layer.ts";
import { type Block, blockOf, type Method } from "./architecture.ts";
import type { Forward } from "./forward.ts";
import { mlpValues } from "./mlp.ts";
import { METHODS, NORM_ORDERS } from "./model_keys.ts";
import { matrixStd } from "./parameters.ts";

/** One branch of a block. */
interface Branch {
  /** Prefix of the names of its taps and parameters, for example `blocks.0.attn`. */
  readonly path: string;
  /** Name of the matrix that writes into the residual stream, after the prefix. */
  readonly matrix: string;
  /** The digit in the names of its norms and LayerScale, for example `ln1` and `ls1`. */
  readonly number: 1 | 2;
  /** Whether its output has a LayerScale. */
  readonly scaled: boolean;
  readonly method: Method;
  /** Computes the input of `matrix` from x, the residual stream, normalised unless the block's `norm_order` is post. */
  values(x: Tensor): Tensor;
}

/** Returns x plus the branch's output; y is the input of the branch's last matrix. The taps are `PATH.proj` and `PATH_out`. */
function addBranch(n: number, block: Block, branch: Branch, x: Tensor, y: Tensor, forward: Forward): Tensor {
  const { taps, parameters } = forward;
  const { path, number, method } = branch;
  const name = `${path}.${branch.matrix}`;
  const { output } = NORM_ORDERS[block.norm_order];
  const { direct } = METHODS[method];
  const unfused = output || direct || branch.scaled || forward.drops(block.dropout!) ||
    taps.wants(`${path}_out`) ||
    taps.wants(`${path}.proj`);
  // If nothing happens between the projection and the sum, one kernel computes them together.
  if (!unfused) return forward.project(name, y, { addend: x, method, residual: true });
  let out = taps.tap(`${path}.proj`, forward.project(name, y, { method, residual: true }));
  if (direct) {
    // Replaces the gradient from the residual stream by dL/dlogits times a fixed random matrix (see METHODS).
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
 * Block n of a decoder: adds attention and then the MLP to the residual stream x [B, T, D].
 *
 * @param rotate applies rotary positions to queries and keys
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
