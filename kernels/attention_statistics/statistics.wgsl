// Computes the sums for the statistics of an attention matrix. Each invocation keeps ROWS queries in registers, loops over the
// tiles of keys that these queries see, recomputes the weights from q, k and the saved row terms, and writes one record of sums.
@group(0) @binding(0) var<storage, read_write> partial: array<Sums>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
//! if HAS_ROW
@group(0) @binding(3) var<storage, read> row_term: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert SUMS
//! insert ROW_SUMS

const LOWEST = -0x1.fffffep+127f;

/**
 * Returns -a ln a - (1 - a) ln(1 - a), given log_a = ln a. For small a, ln(1 - a) is computed from a series, because 1 - a would
 * be inaccurate.
 */
fn bernoulli_entropy(a: f32, log_a: f32) -> f32 {
  let complement = 1f - a;
  let series = -a * (1f + a * (0.5f + a * (0.33333333f + a * 0.25f)));
  return -(a * log_a + complement * select(log(max(complement, TINY)), series, a < 0.03f));
}

//! if UNBOUNDED
alias Squares = vec3f;
/**
 * Returns the square of a weight in one of three components: unscaled in the first, multiplied by 2^160 in the second if it could
 * underflow, or multiplied by 2^-160 in the third if it could overflow. The other components are 0.
 */
fn squares_of(a: f32) -> vec3f {
  let bits = bitcast<u32>(a);
  let is_small = bits < 0x2b800000u;
  let is_large = bits > 0x53800000u && bits < 0x7f800000u;
  // The bits are scaled, because a compiler may move a factor out of the sum.
  let x = bitcast<f32>(select(select(bits, bits - 0x28000000u, is_large), bits + 0x28000000u, is_small && bits >= 0x00800000u));
  let square = x * x;
  return vec3f(select(square, 0f, is_small || is_large), select(0f, square, is_small), select(0f, square, is_large));
}
//! else
alias Squares = f32;
fn squares_of(a: f32) -> f32 { return a * a; }
//! end

//! insert QUERIES
//! for r in 0..ROWS
  let place$r = f32(min(i$r, T - 1u) + QUERY_OFFSET) - f32(KEY_OFFSET);
//! if HAS_ROW
  let term$r = row_term[bh * T + min(i$r, T - 1u)];
//! else
  let term$r = 1f;
//! end
//! end

  // Computes the number of keys that each row sees through the mask, and the first of these keys.
//! if HAS_MASK
//! for r in 0..ROWS
  var in_mask$r = 0f;
  var first_in_mask$r = S;
//! end
  for (var first = begin; first < limit; first += TILE) {
    let state = block_state(batch, head, first_row / BLOCK, first / BLOCK);
    let end = select(min(first + TILE, limit), first, state == 0u);
    for (var j = first; j < end; j++) {
//! for r in 0..ROWS
      let seen$r = visible(state, batch, head, i$r, j);
      in_mask$r += select(0f, 1f, seen$r);
      first_in_mask$r = select(first_in_mask$r, min(first_in_mask$r, j), seen$r);
//! end
    }
  }
//! else
//! for r in 0..ROWS
  let first_in_mask$r = key_start(i$r);
  let in_mask$r = select(0f, f32(max(key_limit(i$r), first_in_mask$r) - first_in_mask$r), i$r < T);
//! end
//! end

  // The first score of the first row is subtracted from all scores before they are summed, so that their m2 is accurate.
  var shift = 0f;
  let shift_at = key_row(batch, first_in_mask0, kv_head) * D;
//! for e in 0..D4
  shift += dot(q0_$e, load_k(shift_at, $eu));
//! end
//! if MODIFIES
  shift = modified(shift, f32(batch), f32(head), f32(i0), f32(min(first_in_mask0, S - 1u)));
//! end
  shift = select(0f, shift, is_finite(shift));

//! for r in 0..ROWS
  var first_seen$r = S;
  var score_max$r = LOWEST;
  var learned_max$r = LOWEST;
  var total$r = RowSums();
  var weight_squares$r = Squares();
  var row_max$r = LOWEST;
  var top_key$r = S;
  let threshold$r = 0.01f / max(in_mask$r, 1f);
//! end
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    // Each tile is summed separately, because a long sum of equal weights would be rounded in the same direction at each step.
//! for r in 0..ROWS
    var tile$r = RowSums();
    var tile_weight_squares$r = Squares();
//! end
    for (var j = first; j < end; j++) {
//! insert SCORES
      let at = f32(j);
      let is_sink = select(0f, 1f, j == 0u);
//! if EXTRA
      let is_learned = j >= SEQUENCE;
//! else
      let is_learned = false;
//! end
//! for r in 0..ROWS
//! if MODIFIES
      s$r = modified(s$r, f32(batch), f32(head), f32(i$r), at);
//! end
      let seen$r = visible(state, batch, head, i$r, j) && !is_hidden(s$r);
      let has_score$r = seen$r && is_finite(s$r);
      let a$r = select(0f, weight(s$r, term$r), seen$r);
      let log_a$r = log_weight(a$r, s$r, term$r);
      let distance$r = place$r - at;
      let centred$r = select(0f, s$r - shift, has_score$r);
      total$r.n += select(0f, 1f, seen$r);
      first_seen$r = select(first_seen$r, min(first_seen$r, j), seen$r);
      total$r.scored += select(0f, 1f, has_score$r);
      total$r.score_nonfinite += select(0f, 1f, seen$r && !has_score$r);
      score_max$r = select(score_max$r, s$r, has_score$r && s$r > score_max$r);
//! if NORMALISED
      total$r.invalid += select(0f, 1f, seen$r && !has_score$r);
//! else
      total$r.invalid += select(0f, 1f, seen$r && (is_nan(s$r) || !is_finite(a$r)));
//! end
      tile$r.mass += a$r;
      tile_weight_squares$r += squares_of(a$r);
      tile$r.log_mass += select(0f, a$r * log_a$r, a$r > 0f);
      tile$r.weighted_distance += select(a$r * distance$r, 0f, is_learned);
      tile$r.offset += centred$r;
      tile$r.square += centred$r * centred$r;
      total$r.sink += a$r * is_sink;
      total$r.self_weight += select(0f, a$r, distance$r == 0f && !is_learned);
      total$r.previous += select(0f, a$r, distance$r == 1f && !is_learned);
      total$r.not_small += select(0f, 1f, a$r >= threshold$r);
//! if EXTRA
      total$r.learned_mass += select(0f, a$r, is_learned);
      total$r.placed_mass += select(a$r, 0f, is_learned);
      learned_max$r = select(learned_max$r, s$r, seen$r && is_learned && s$r > learned_max$r);
//! end
      let higher$r = seen$r && !is_learned && (top_key$r == S || s$r > row_max$r);
      row_max$r = select(row_max$r, s$r, higher$r);
      top_key$r = select(top_key$r, j, higher$r);
//! if BERNOULLI
      tile$r.bernoulli += select(0f, bernoulli_entropy(a$r, log_a$r), seen$r);
//! end
//! if REPEATED
      total$r.induced += select(0f, a$r, distance$r == f32(REPEATED) - 1f && !is_learned);
      total$r.duplicated += select(0f, a$r, distance$r == f32(REPEATED) && !is_learned);
//! end
//! end
    }
//! for r in 0..ROWS
    total$r = added_row(total$r, tile$r);
    weight_squares$r += tile_weight_squares$r;
//! end
//! if TILED
    workgroupBarrier();
//! end
  }

//! if MODIFIES
  // If the modifier hides keys that the mask does not, the threshold below which a weight is small has changed.
  var recount = false;
//! for r in 0..ROWS
  recount = recount || total$r.n < in_mask$r;
  let bound$r = 0.01f / max(total$r.n, 1f);
//! end
  if (recount) {
//! for r in 0..ROWS
    total$r.not_small = 0f;
//! end
    for (var j = begin; j < limit; j++) {
//! insert KEY_SCORES
//! for r in 0..ROWS
      total$r.not_small += select(0f, 1f, seen$r && weight(s$r, term$r) >= bound$r);
//! end
    }
  }
//! end

  var sums = Sums();
  sums.score_max = LOWEST;
  var offset = 0f;
  var square = 0f;
//! for r in 0..ROWS
  let is_counted$r = total$r.n > 0f && total$r.invalid == 0f;
//! if NORMALISED
  // A single NaN or infinite score makes every weight of the row NaN.
  sums.nonfinite += select(total$r.n, 0f, total$r.invalid == 0f);
//! else
  sums.nonfinite += total$r.invalid;
//! end
  sums.score_nonfinite += total$r.score_nonfinite;
  if (is_counted$r) {
    let empty = total$r.mass <= 0f;
    let exact = log(max(total$r.mass, TINY)) - total$r.log_mass / max(total$r.mass, TINY);
    let entropy = select(exact, 0f, empty || exact < 0f);
//! if ZERO_BELOW_0
    // If no score is above 0, all weights are 0, and the first visible key counts as the key with the largest weight.
    let top_key = select(top_key$r, first_seen$r, row_max$r <= 0f);
//! else
    let top_key = top_key$r;
//! end
//! if EXTRA
    let placed_mass = total$r.placed_mass;
//! else
    let placed_mass = total$r.mass;
//! end
    let placed = first_seen$r < SEQUENCE;
    let no_placed_mass = placed_mass <= 0f;
    let has_previous = place$r >= 1f;
    let sees_sink = has_previous && first_seen$r == 0u;
    let repeated = place$r >= f32(REPEATED);
    sums.rows += 1f;
    sums.rows_of_two += select(0f, 1f, total$r.n > 1f);
    sums.rows_placed += select(0f, 1f, placed);
    sums.rows_with_previous += select(0f, 1f, has_previous);
    sums.rows_sunk += select(0f, 1f, sees_sink);
    sums.rows_repeated += select(0f, 1f, repeated);
    sums.pairs += total$r.scored;
    sums.entropy += entropy;
    sums.entropy_ratio += select(0f, entropy / log(max(total$r.n, 2f)), total$r.n > 1f);
    sums.bernoulli_entropy += total$r.bernoulli / total$r.n;
    sums.rowmass += total$r.mass;
//! if UNBOUNDED
    sums.squares += weight_squares$r.x;
    sums.small_squares += weight_squares$r.y;
    sums.large_squares += weight_squares$r.z;
//! else
    sums.squares += weight_squares$r;
//! end
    sums.max += weight(max(row_max$r, learned_max$r), term$r);
    sums.argmax_distance += select(0f, place$r - f32(top_key), placed);
    sums.sink += select(0f, total$r.sink, sees_sink);
    sums.previous += select(0f, total$r.previous, has_previous);
    sums.self_weight += total$r.self_weight;
    sums.distance += select(total$r.weighted_distance / max(placed_mass, TINY), 0f, no_placed_mass);
    sums.extra_mass += select(total$r.learned_mass / max(total$r.mass, TINY), 0f, empty);
    sums.effective_keys += exp(entropy);
    sums.sparsity += (total$r.n - total$r.not_small) / total$r.n;
    sums.induction += select(0f, total$r.induced, repeated);
    sums.duplicate += select(0f, total$r.duplicated, repeated);
    sums.score_max = max(sums.score_max, score_max$r);
    offset += total$r.offset;
    square += total$r.square;
  }
//! end
  sums.scores = sums.pairs * shift + offset;
  sums.score_m2 = max(square - offset * offset / max(sums.pairs, 1f), 0f);
  let mean_mass = sums.rowmass / max(sums.rows, 1f);
//! for r in 0..ROWS
  sums.rowmass_m2 += select(0f, (total$r.mass - mean_mass) * (total$r.mass - mean_mass), is_counted$r);
//! end
  if (first_row < T) { partial[bh * TILES + row_tile] = sums; }
}
