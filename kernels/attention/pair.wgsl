// The weight of a pair and the gradient of its score, from the raw score, the row's saved term and dz . v: one place for
// the backward kernels. `a` is the weight before dropout; `ds` the gradient of the score as it was before its modifier.
struct Pair { a: f32, ds: f32 }

fn pair_of(seen: bool, raw: f32, row: f32, delta: f32, da: f32, b: f32, h: f32, i: f32, j: f32) -> Pair {
//! if MODIFIES
  let s = modified(raw, b, h, i, j);
//! else
  let s = raw;
//! end
//! if SOFTMAX
  let a = select(0f, exp(min(s - row, 0f)), seen);
//! if EXACT
  var ds = a * (da - delta);
//! end
//! if DIAG
  var ds = a * (1f - a) * da;
//! end
//! if STE
  var ds = select(0f, da, seen);
//! end
//! else
//! if SIGMOID
  // One exponential for both: the slope is e / (1 + e)^2 with e = exp(-s).
  let e = exp(min(-s, 80f));
  let phi = 1f / (1f + e);
  let phi_slope = e * phi * phi;
//! else
  let phi = activation(s);
  let phi_slope = activation_slope(s);
//! end
  let a = select(0f, row * phi, seen);
  var ds = select(0f, row * phi_slope * da, seen);
//! end
  return Pair(a, ds);
}
