// For each row of logits [ROWS, V] with target t, this kernel computes the loss logsumexp(logits) - logit_t, whether the
// argmax is t, and dlogits = (softmax - onehot t) / valid. A row is computed by one workgroup (LANES = 64) or by one
// invocation (LANES = 1).
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
@group(0) @binding(3) var<storage, read_write> hits: array<f32>;
//! if GRADIENT
@group(0) @binding(4) var<storage, read> valid: array<f32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;
//! end

// Statistics of a set of logits: the largest logit `top`, its lowest index `best`, and the sum of exp(logit - top).
struct Part { top: f32, sum: f32, best: u32 }

fn combine(a: Part, b: Part) -> Part {
  let top = max(a.top, b.top);
  let sum = a.sum * exp(a.top - top) + b.sum * exp(b.top - top);
  let second = b.top > a.top || (b.top == a.top && b.best < a.best);
  return Part(top, sum, select(a.best, b.best, second));
}
//! insert OVER_LANES

//! each row in 0..ROWS over LANES
  let start = row * V;
  // For a lane without logits, the sum is 0 and the top is the lowest float.
  var total = Part(-0x1.fffffep+127f, 0f, V);
  for (var i = lane; i < V; i += LANES) {
    let logit = logits[start + i];
    let above = logit - total.top;
    let ratio = exp(-abs(above));
    // A new largest logit multiplies the sum by `ratio` and adds 1; any other logit adds `ratio`.
    if (above > 0f) {
      total = Part(logit, total.sum * ratio + 1f, i);
    } else {
      total.sum += ratio;
    }
  }
  total = over_lanes(total, lane);
  // If the largest logit is infinity, softmax and loss must be NaN (infinity minus infinity).
  let bits = bitcast<u32>(total.top);
  if (bits == 0x7f800000u) { total.sum = bitcast<f32>(bits | 0x7fc00000u); }
  let label = targets[row];
  let counted = label < V;
  if (lane == 0u) {
    // The two logits, which may be large, are subtracted first, so that the loss stays accurate.
    let loss = (total.top - logits[start + min(label, V - 1u)]) + log(total.sum);
    losses[row] = select(0f, loss, counted);
    hits[row] = select(0f, 1f, counted && total.best == label);
  }
//! if GRADIENT
  let share = 1f / (total.sum * max(valid[0], 1f));
  let weight = 1f / max(valid[0], 1f);
  for (var i = lane; i < V; i += LANES) {
    let gradient = exp(logits[start + i] - total.top) * share - select(0f, weight, i == label);
    dlogits[start + i] = select(0f, gradient, counted);
  }
//! end
//! end
