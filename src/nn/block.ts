// One block. Its two branches, attention and MLP, each add their output to the residual stream; the block's `norm_order` says
// where norms are applied.
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
  /** Prefix of the names of the branch's taps and parameters, for example `blocks.0.attn`. */
  readonly path: string;
  /** Name, without the prefix, of the matrix that writes into the residual stream. */
  readonly matrix: string;
  /** The digit in the names of the branch's norms and LayerScale: 1 for attention (`ln1`, `ls1`), 2 for the MLP. */
  readonly number: 1 | 2;
  /** Whether the branch's output has a LayerScale. */
  readonly scaled: boolean;
  readonly method: Method;
  /** Returns the input of `matrix`. x is the residual stream, already normalised unless the block's `norm_order` is post. */
  values(x: Tensor): Tensor;
}

/**
 * Returns x plus the branch's output; y is the input of the branch's last matrix. The tap `PATH.proj` records the output of
 * that matrix, and `PATH_out` what is added to x.
 */
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
 * Applies block n of a decoder: adds the output of attention and then that of the MLP to the residual stream x [B, T, D].
 * Returns the new residual stream.
 *
 * @param rotate a function that applies rotary positions to queries and keys
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
