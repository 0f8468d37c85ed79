// Softmax (see activation.ts), computed with a running maximum and a running sum, whose initial values FIRST_TOP and FIRST_SUM
// account for the extra logit. The row term is the log-sum-exp.
//! part WEIGHT
fn weight(score: f32, lse: f32) -> f32 {
  // If a score of the row is NaN, lse is NaN, and every weight must be NaN too; `min` alone could return a number.
  return exp(select(min(score - lse, 0f), lse, is_nan(lse)));
}
fn log_weight(a: f32, score: f32, lse: f32) -> f32 { return min(score - lse, 0f); }
fn share(a: f32) -> f32 { return a; }
//! part BEGIN
//! for r in 0..ROWS
  var row_max$r = FIRST_TOP;
  var sum$r = FIRST_SUM;
//! end
//! part STEP
//! for r in 0..ROWS
      let next_max$r = select(row_max$r, max(row_max$r, s$r), seen$r);
      let rescale$r = exp(row_max$r - next_max$r);
      row_max$r = next_max$r;
      var a$r = select(0f, exp(s$r - next_max$r), seen$r);
      sum$r = sum$r * rescale$r + a$r;
//! end
//! part END
//! for r in 0..ROWS
  // A row without visible keys gets the factor 0, and a log-sum-exp that makes its weights 0 in the backward pass. The sum of
  // any other row is at least 1, or NaN, which propagates to the factor and the log-sum-exp.
  let empty$r = bitcast<u32>(sum$r) == 0u;
  let factor$r = select(1f / sum$r, 0f, empty$r);
  let term$r = select(row_max$r + log(sum$r), -MASKED, empty$r);
//! end
