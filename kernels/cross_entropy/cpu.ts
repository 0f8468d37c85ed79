// Cross-entropy on the host, with its gradient.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";

/** Mean loss, dlogits, losses, number of valid targets, number of correct ones, which they are: see `crossEntropyOp`. */
export function crossEntropyCpu(
  [logits, targets]: readonly Values[],
  outputs: readonly Values[],
  { inputs, needed: wanted }: Call,
): void {
  const [loss, dlogits, losses, valid, correct, hits] = outputs as Floats[];
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
      if (wanted[1]) dlogits.fill(0, start, start + size);
      continue;
    }
    let best = 0;
    for (let i = 1; i < size; i++) if (logits[start + i] > logits[start + best]) best = i;
    const top = logits[start + best];
    let total = 0;
    for (let i = 0; i < size; i++) total += Math.exp(logits[start + i] - top);
    const own = top - logits[start + target] + Math.log(total);
    losses[row] = own;
    sum += own;
    if (best === target) hits[row] = 1;
    right += hits[row];
    if (!wanted[1]) continue;
    const share = 1 / (total * count);
    for (let i = 0; i < size; i++) dlogits[start + i] = Math.exp(logits[start + i] - top) * share;
    // In one subtraction: in float32 the stored softmax of a certain token would have lost its digits.
    dlogits[start + target] = (Math.exp(logits[start + target] - top) / total - 1) / count;
  }
  loss[0] = sum / Math.max(count, 1);
  valid[0] = count;
  correct[0] = right;
}
