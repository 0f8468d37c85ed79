// entmax15 in the kernels (see entmax15.ts): the row's term is tau, which is found by walks over the keys, so that no row of
// scores is ever held.
//! part WEIGHT
fn weight(score: f32, tau: f32) -> f32 {
  let above = 0.5f * score - tau;
  return select(select(0f, above * above, above > 0f), tau, is_nan(tau));
}
fn log_weight(a: f32, score: f32, tau: f32) -> f32 { return log(max(a, TINY)); }
fn share(a: f32) -> f32 { return sqrt(a); }
//! part BEGIN
//! for r in 0..ROWS
  var top$r = MASKED;
  var spoilt$r = false;
//! end
  for (var j = begin; j < limit; j++) {
//! insert KEY_SCORES
//! for r in 0..ROWS
    top$r = select(top$r, max(top$r, 0.5f * s$r), seen$r);
    spoilt$r = spoilt$r || (seen$r && (bitcast<u32>(-s$r) & INFINITY) == INFINITY);
//! end
  }
//! for r in 0..ROWS
  // From below: at tau the squares sum to 1, of which the largest score's is at most 1.
  var tau$r = top$r - 1f;
  var searches$r = top$r > MASKED && !spoilt$r;
//! end
  var searches = true;
  for (var walk = 1u; walk < WALKS && searches; walk++) {
//! for r in 0..ROWS
    var count$r = 0f;
    var sum$r = 0f;
    var square$r = 0f;
    var least$r = -MASKED;
//! end
    for (var first = begin; first < limit; first += TILE) {
      // A tile's sums first, then the row's: long sums of like numbers would round the same way at every step.
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
          least$r = min(least$r, above$r);
        }
//! end
      }
//! for r in 0..ROWS
      sum$r += tile_sum$r;
      square$r += tile_square$r;
//! end
    }
    searches = false;
//! for r in 0..ROWS
    // The root of sum (above - x)^2 = 1 if all of these keys stay in the support: exact where they do. Else Newton's step,
    // which never goes beyond the root, for the sum is convex. A root far off has lost digits, and is sought again from there.
    let excess$r = square$r - 1f;
    let radicand$r = sum$r * sum$r - count$r * excess$r;
    let root$r = excess$r / (sum$r + sqrt(max(radicand$r, 0f)));
    let found$r = radicand$r >= 0f && root$r < least$r;
    let next$r = tau$r + select(0.5f * excess$r / sum$r, root$r, found$r);
    let goes_on$r = select(next$r > tau$r, abs(excess$r) > 0.01f, found$r);
    tau$r = select(tau$r, next$r, searches$r && (found$r || goes_on$r));
    searches$r = searches$r && goes_on$r;
    searches = searches || searches$r;
//! end
  }
//! for r in 0..ROWS
  // A row that sees no key has a tau beyond every score, one with a score that is not finite has none.
  tau$r = select(tau$r, -MASKED, top$r <= MASKED);
  tau$r = select(tau$r, f32_of_bits(0x7fc00000u), spoilt$r);
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
