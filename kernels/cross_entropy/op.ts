// Cross-entropy of logits and target ids. The kernel that computes the loss also computes its gradient dlogits from the same
// softmax, so that the backward pass only multiplies dlogits by the incoming gradient.
import { apply, mismatch, sizeOf, workgroups1d } from "../../src/graph/tensor.ts";
import type { Call, Floats, Lowered, Op, Target, Tensor, Values } from "../../src/graph/tensor.ts";
import { multiply } from "../elementwise/op.ts";
import overLanesWgsl from "../over_lanes.wgsl" with { type: "text" };
import countWgsl from "./count.wgsl" with { type: "text" };
import meanWgsl from "./mean.wgsl" with { type: "text" };
import rowsWgsl from "./rows.wgsl" with { type: "text" };
import { crossEntropySimd } from "./simd.ts";

/** Target id of tokens that are excluded from the loss, like ignore_index of torch.nn.CrossEntropyLoss. */
export const IGNORE = 0xffffffff;

/** Results of `crossEntropy`. */
export interface CrossEntropy {
  /** Mean loss over the valid targets in nats per token, [1]; 0 if there are none. Only this output has a gradient. */
  readonly loss: Tensor;
  /** d loss / d logits, [N, V]; zero in rows with an ignored target. Computed only if it is read. */
  readonly dlogits: Tensor;
  /** Loss per token in nats, [N]; 0 for ignored targets. */
  readonly losses: Tensor;
  /** Number of valid targets, [1], f32. */
  readonly valid: Tensor;
  /**
   * Number of correct predictions, [1], f32. A row counts if its target is valid and is the argmax (the lowest index of the
   * largest logit).
   */
  readonly correct: Tensor;
  /** 1 for each token that is predicted correctly, else 0, [N]. */
  readonly hits: Tensor;
}

/**
 * Above this number of rows, or of logits per row, a software adapter also uses a workgroup instead of one invocation, because
 * llvmpipe silently ends a shader's loops after a total of 65,535 iterations.
 */
const LONG = 8192;

function lower({ inputs: [logits], needed }: Call, { kind }: Target): Lowered {
  const [rows, size] = logits.shape;
  const lanes = kind === "gpu" || size > LONG ? 64 : 1;
  const single = kind === "gpu" || rows > LONG ? 256 : 1;
  const code = { OVER_LANES: overLanesWgsl };
  return {
    dispatches: [{
      label: "cross_entropy_count",
      source: countWgsl,
      code,
      constants: { ROWS: rows, V: size, LANES: single },
      bindings: { 0: ["input", 1], 1: ["output", 3] },
      workgroups: [1, 1, 1],
    }, {
      label: "cross_entropy",
      source: rowsWgsl,
      code,
      constants: { ROWS: rows, V: size, LANES: lanes, GRADIENT: needed[1] },
      bindings: {
        0: ["input", 0],
        1: ["input", 1],
        2: ["output", 2],
        3: ["output", 5],
        4: ["output", 3],
        5: ["output", 1],
      },
      workgroups: workgroups1d(rows, 64 / lanes),
    }, {
      label: "cross_entropy_mean",
      source: meanWgsl,
      code,
      constants: { ROWS: rows, LANES: single },
      bindings: { 0: ["output", 2], 1: ["output", 5], 2: ["output", 3], 3: ["output", 0], 4: ["output", 4] },
      workgroups: [1, 1, 1],
    }],
  };
}

function cpu(
  [logits, targets]: readonly Values[],
  outputs: readonly Values[],
  { inputs, needed }: Call,
): void {
  const [meanLoss, dlogits, losses, valid, correct, hits] = outputs as Floats[];
  const size = inputs[0].shape[1];
  let count = 0;
  for (let row = 0; row < targets.length; row++) if (targets[row] < size) count++;
  let sum = 0;
  let right = 0;
  for (let row = 0, start = 0; row < targets.length; row++, start += size) {
    const target = targets[row];
    const counted = target < size;
    losses[row] = 0;
    hits[row] = 0;
    if (!counted) {
      if (needed[1]) dlogits.fill(0, start, start + size);
      continue;
    }
    let best = 0;
    for (let i = 1; i < size; i++) if (logits[start + i] > logits[start + best]) best = i;
    const top = logits[start + best];
    let total = 0;
    for (let i = 0; i < size; i++) total += Math.exp(logits[start + i] - top);
    const loss = top - logits[start + target] + Math.log(total);
    losses[row] = loss;
    sum += loss;
    if (best === target) hits[row] = 1;
    right += hits[row];
    if (!needed[1]) continue;
    const share = 1 / (total * count);
    for (let i = 0; i < size; i++) dlogits[start + i] = Math.exp(logits[start + i] - top) * share;
    // The gradient of the target's logit is computed in float64: if a softmax close to 1 were rounded to float32 first, its
    // difference from 1 would be inaccurate.
    dlogits[start + target] = (Math.exp(logits[start + target] - top) / total - 1) / count;
  }
  meanLoss[0] = sum / Math.max(count, 1);
  valid[0] = count;
  correct[0] = right;
}

/** Outputs: loss [1], dlogits [N, V], losses [N], valid [1], correct [1], hits [N]. */
export const crossEntropyOp: Op = {
  name: "cross_entropy",
  infer(inputs) {
    const [logits, targets] = inputs;
    const [rows, size] = logits.shape;
    const fits = logits.shape.length === 2 && size > 0 && sizeOf(targets) === rows;
    if (!fits || logits.dtype !== "f32" || targets.dtype !== "u32") {
      mismatch("cross_entropy", "logits f32[N, V] and targets u32[N]", inputs);
    }
    return [[1], [rows, size], [rows], [1], [1], [rows]].map((shape) => ({ shape, dtype: "f32" }));
  },
  lower,
  simd: crossEntropySimd,
  cpu,
  vjp(node, [g, ...others]) {
    if (others.some((other) => other)) throw new Error("Only the mean loss of cross_entropy has a gradient.");
    return [multiply(node.outputs[1], g!), undefined];
  },
  flops: ({ inputs: [logits], needed }) => (needed[1] ? 8 : 4) * sizeOf(logits),
};

/**
 * Cross-entropy of logits and target ids: the loss is the mean of ln(sum_v exp logits[n, v]) - logits[n, targets[n]] over the
 * rows n with a valid target. Its gradient is (softmax - onehot) / (number of valid targets).
 *
 * A target is ignored if it is `IGNORE` or any other id that is at least V. If no target is valid, the loss and its gradient
 * are zero.
 *
 * @param logits [N, V]
 * @param targets u32 [N], or of any shape with N elements
 * @returns the mean loss in nats, with its gradient and counts
 * @throws {UserError} if the shapes are inconsistent
 *
 * @example
 * ```ts
 * import { crossEntropy, input } from "../../mod.ts";
 * const { loss, correct } = crossEntropy(input("logits", [96, 65]), input("targets", [96], "u32"));
 * ```
 * @category Tensors
 */
export function crossEntropy(logits: Tensor, targets: Tensor): CrossEntropy {
  const [loss, dlogits, losses, valid, correct, hits] = apply(crossEntropyOp, [logits, targets], undefined);
  return { loss, dlogits, losses, valid, correct, hits };
}
