// Softmax in the kernels (see activation.ts): a running maximum and sum, with FIRST_TOP and FIRST_SUM of the logit before the
// first key; the row's term is the log-sum-exp.
//! part WEIGHT
fn weight(score: f32, lse: f32) -> f32 {
  // A score that is NaN makes its whole row NaN; min would drop it.
  return exp(select(min(score - lse, 0f), lse, is_nan(lse)));
}
fn log_weight(a: f32, score: f32, lse: f32) -> f32 { return min(score - lse, 0f); }
fn share(a: f32) -> f32 { return a; }
//! part BEGIN
//! for r in 0..ROWS
  var top$r = FIRST_TOP;
  var sum$r = FIRST_SUM;
//! end
//! part STEP
//! for r in 0..ROWS
      let next$r = select(top$r, max(top$r, s$r), seen$r);
      let shrink$r = exp(top$r - next$r);
      top$r = next$r;
      var a$r = select(0f, exp(s$r - next$r), seen$r);
      sum$r = sum$r * shrink$r + a$r;
//! end
//! part END
//! for r in 0..ROWS
  // A row that sees no key gives zeros, and a log-sum-exp that makes every weight of its gradient zero. Any other row's
  // sum is at least 1, or NaN, which stays in both.
  let empty$r = bitcast<u32>(sum$r) == 0u;
  let factor$r = select(1f / sum$r, 0f, empty$r);
  let term$r = select(top$r + log(sum$r), -MASKED, empty$r);
//! end
