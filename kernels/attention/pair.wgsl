// Computes the weight of a pair and the gradients of its score from the raw score, the saved row term and da = dz . v. The
// backward kernels share this function. In the result, `a` is the weight before dropout, `ds` the gradient of the modified score,
// and `raw` the gradient of the score before the modifier. A pair whose modified score is -infinity is not visible.
struct Pair { a: f32, ds: f32, raw: f32, seen: bool }

fn pair_gradient(in_mask: bool, raw: f32, row: f32, delta: f32, da: f32, b: f32, h: f32, i: f32, j: f32) -> Pair {
//! if MODIFIES
  let s = modified(raw, b, h, i, j);
//! else
  let s = raw;
//! end
  // The tests use -s instead of s, because Mesa then rounds the results of these kernels as in earlier versions.
  let n = -s;
//! if MODIFIES || DIVIDES || NORMALISED && !EXACT
  let seen = in_mask && bitcast<u32>(n) != INFINITY;
//! else
  let seen = in_mask;
//! end
//! if NORMALISED
  let a = select(0f, weight(s, row), seen);
  let ds =
//! insert SCORE_GRADIENT
  ;
//! else
//! if LOGISTIC
  // phi and its derivative e / (1 + e)^2 share one exponential, e = exp(-s). See `logistic`.
  let e = exp(select(min(n, 87.3f), n, is_nan(n)));
  let phi = 1f / (1f + e);
  let phi_derivative = e * phi * phi;
  let has_weight = seen && !(n > 87.3f);
//! else
  let phi = activation(s);
  let phi_derivative = activation_derivative(s);
  let has_weight = seen;
//! end
  let a = select(0f, row * phi, has_weight);
  let ds = select(0f, row * phi_derivative * da, has_weight);
//! end
//! if MODIFIES
  return Pair(a, ds, select(0f, ds * modifier_derivative(raw, b, h, i, j), seen), seen);
//! else
  return Pair(a, ds, ds, seen);
//! end
}
