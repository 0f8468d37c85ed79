// Element-wise activations (see activation.ts). The row term is 1 / divisor, by which the weights of the row are multiplied.
//! part WEIGHT
fn activation(score: f32) -> f32 {
  return
//! insert PHI
  ;
}
fn activation_derivative(score: f32) -> f32 {
  return
//! insert PHI_DERIVATIVE
  ;
}
/** Returns the divisor of a row's weights, given n, the number of visible keys of the row. */
fn divisor(n: f32) -> f32 {
  return
//! insert DIVISOR
  ;
}
fn weight(score: f32, term: f32) -> f32 { return term * activation(score); }
fn log_weight(a: f32, score: f32, term: f32) -> f32 { return log(max(a, TINY)); }
//! part BEGIN
//! if DIVIDES
//! for r in 0..ROWS
  var count$r = 0f;
//! end
//! end
//! part STEP
//! for r in 0..ROWS
      var a$r = select(0f, activation(s$r), seen$r);
//! if DIVIDES
      count$r += select(0f, 1f, seen$r && bitcast<u32>(-s$r) != INFINITY);
//! end
//! end
//! part END
//! for r in 0..ROWS
//! if DIVIDES
  let factor$r = 1f / divisor(max(count$r, 1f));
//! else
  let factor$r = 1f;
//! end
  let term$r = factor$r;
//! end
