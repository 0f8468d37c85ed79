// entmax15 (see entmax15.ts). The row term is tau. Several loops over the keys compute tau, so that no row of scores needs to be
// stored.
//! part WEIGHT
fn weight(score: f32, tau: f32) -> f32 {
  let above = 0.5f * score - tau;
  return select(select(0f, above * above, above > 0f), tau, is_nan(tau));
}
fn log_weight(a: f32, score: f32, tau: f32) -> f32 { return log(max(a, TINY)); }
fn share(a: f32) -> f32 { return sqrt(a); }
//! part BEGIN
//! for r in 0..ROWS
  var row_max$r = MASKED;
  var nonfinite$r = false;
//! end
  for (var j = begin; j < limit; j++) {
//! insert KEY_SCORES
//! for r in 0..ROWS
    row_max$r = select(row_max$r, max(row_max$r, 0.5f * s$r), seen$r);
    nonfinite$r = nonfinite$r || (seen$r && (bitcast<u32>(-s$r) & INFINITY) == INFINITY);
//! end
  }
//! for r in 0..ROWS
  // The search starts below the root: at the root the squares sum to 1, so the largest score / 2 exceeds the root by at most 1.
  var tau$r = row_max$r - 1f;
  var searching$r = row_max$r > MASKED && !nonfinite$r;
//! end
  var searching = true;
  for (var iteration = 1u; iteration < PASSES && searching; iteration++) {
//! for r in 0..ROWS
    var count$r = 0f;
    var sum$r = 0f;
    var squares$r = 0f;
    var smallest$r = -MASKED;
//! end
    for (var first = begin; first < limit; first += TILE) {
      // Each tile is summed separately: a long sum of similar values would be rounded in the same direction at each step.
//! for r in 0..ROWS
      var tile_sum$r = 0f;
      var tile_square$r = 0f;
//! end
      for (var j = first; j < min(first + TILE, limit); j++) {
//! insert KEY_SCORES
//! for r in 0..ROWS
        let above$r = 0.5f * s$r - tau$r;
        if (seen$r && above$r > 0f) {
          count$r += 1f;
          tile_sum$r += above$r;
          tile_square$r += above$r * above$r;
          smallest$r = min(smallest$r, above$r);
        }
//! end
      }
//! for r in 0..ROWS
      sum$r += tile_sum$r;
      squares$r += tile_square$r;
//! end
    }
    searching = false;
//! for r in 0..ROWS
    // If all keys with above > 0 stay in the support, the solution x of sum (above - x)^2 = 1 is exact; else a Newton step is
    // taken, which never overshoots, because the sum is convex. If the excess was large, x is inaccurate, so another iteration
    // follows.
    let excess$r = squares$r - 1f;
    let radicand$r = sum$r * sum$r - count$r * excess$r;
    let root$r = excess$r / (sum$r + sqrt(max(radicand$r, 0f)));
    let is_root$r = radicand$r >= 0f && root$r < smallest$r;
    let next$r = tau$r + select(0.5f * excess$r / sum$r, root$r, is_root$r);
    let continues$r = select(next$r > tau$r, abs(excess$r) > 0.01f, is_root$r);
    tau$r = select(tau$r, next$r, searching$r && (is_root$r || continues$r));
    searching$r = searching$r && continues$r;
    searching = searching || searching$r;
//! end
  }
//! for r in 0..ROWS
  // For a row without visible keys, tau is larger than any score. For a row with a score that is not finite, tau is NaN.
  tau$r = select(tau$r, -MASKED, row_max$r <= MASKED);
  tau$r = select(tau$r, f32_of_bits(0x7fc00000u), nonfinite$r);
//! end
//! part STEP
//! for r in 0..ROWS
      var a$r = select(0f, weight(s$r, tau$r), seen$r);
//! end
//! part END
//! for r in 0..ROWS
  let term$r = tau$r;
  let factor$r = 1f;
//! end
