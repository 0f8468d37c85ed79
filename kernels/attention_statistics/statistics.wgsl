// Sums behind the statistics of an attention matrix: every invocation keeps ROWS queries in registers, walks the tiles of
// keys that they see and recomputes the weights from q, k and the saved row terms. It leaves one record of sums.
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

/** Of a weight and its logarithm; 1 - a would lose the digits of a small one. */
fn bernoulli_entropy(a: f32, log_a: f32) -> f32 {
  let rest = 1f - a;
  let series = -a * (1f + a * (0.5f + a * (0.33333333f + a * 0.25f)));
  return -(a * log_a + rest * select(log(max(rest, TINY)), series, a < 0.03f));
}

//! if UNBOUNDED
alias Squares = vec3f;
/** Squares of a weight: of its own size, times 2^160 where that would vanish, times 2^-160 where it would overflow. */
fn squares_of(a: f32) -> vec3f {
  let bits = bitcast<u32>(a);
  let is_small = bits < 0x2b800000u;
  let is_large = bits > 0x53800000u && bits < 0x7f800000u;
  // Scaled by its bits: a compiler may take the factor out of the sum.
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

  // How many keys the mask shows each row, and the first of them.
//! if HAS_MASK
//! for r in 0..ROWS
  var shown$r = 0f;
  var first_shown$r = S;
//! end
  for (var first = begin; first < limit; first += TILE) {
    let state = block_state(batch, head, first_row / BLOCK, first / BLOCK);
    let end = select(min(first + TILE, limit), first, state == 0u);
    for (var j = first; j < end; j++) {
//! for r in 0..ROWS
      let seen$r = visible(state, batch, head, i$r, j);
      shown$r += select(0f, 1f, seen$r);
      first_shown$r = select(first_shown$r, min(first_shown$r, j), seen$r);
//! end
    }
  }
//! else
//! for r in 0..ROWS
  let first_shown$r = key_start(i$r);
  let shown$r = select(0f, f32(max(key_limit(i$r), first_shown$r) - first_shown$r), i$r < T);
//! end
//! end

  // Scores are summed less one of them, so that their m2 keeps its digits.
  var shift = 0f;
  let shift_at = key_row(batch, first_shown0, kv_head) * D;
//! for e in 0..D4
  shift += dot(q0_$e, load_k(shift_at, $eu));
//! end
//! if MODIFIES
  shift = modified(shift, f32(batch), f32(head), f32(i0), f32(min(first_shown0, S - 1u)));
//! end
  shift = select(0f, shift, is_finite(shift));

//! for r in 0..ROWS
  var first_seen$r = S;
  var peak$r = LOWEST;
  var learned_top$r = LOWEST;
  var total$r = RowSums();
  var weight_squares$r = Squares();
  var row_max$r = LOWEST;
  var top_key$r = S;
  let threshold$r = 0.01f / max(shown$r, 1f);
//! end
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    // A tile's sums first, then the row's: long rows of equal weights would round the same way at every step.
//! for r in 0..ROWS
    var tile$r = RowSums();
    var tile_weight_squares$r = Squares();
//! end
    for (var j = first; j < end; j++) {
//! insert SCORES
      let at = f32(j);
      let is_sink = select(0f, 1f, j == 0u);
//! if EXTRA
      let is_learned = j >= OWN;
//! else
      let is_learned = false;
//! end
//! for r in 0..ROWS
//! if MODIFIES
      s$r = modified(s$r, f32(batch), f32(head), f32(i$r), at);
//! end
      let seen$r = visible(state, batch, head, i$r, j) && !is_hidden(s$r);
      let scored_here$r = seen$r && is_finite(s$r);
      let a$r = select(0f, weight(s$r, term$r), seen$r);
      let log_a$r = log_weight(a$r, s$r, term$r);
      let distance$r = place$r - at;
      let centred$r = select(0f, s$r - shift, scored_here$r);
      total$r.n += select(0f, 1f, seen$r);
      first_seen$r = select(first_seen$r, min(first_seen$r, j), seen$r);
      total$r.scored += select(0f, 1f, scored_here$r);
      total$r.unscored += select(0f, 1f, seen$r && !scored_here$r);
      peak$r = select(peak$r, s$r, scored_here$r && s$r > peak$r);
//! if NORMALISED
      total$r.spoilt += select(0f, 1f, seen$r && !scored_here$r);
//! else
      total$r.spoilt += select(0f, 1f, seen$r && (is_nan(s$r) || !is_finite(a$r)));
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
      total$r.above += select(0f, 1f, a$r >= threshold$r);
//! if EXTRA
      total$r.learned_mass += select(0f, a$r, is_learned);
      total$r.placed_mass += select(a$r, 0f, is_learned);
      learned_top$r = select(learned_top$r, s$r, seen$r && is_learned && s$r > learned_top$r);
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
  // Where scores hide keys that the mask shows, a weight is small by another measure.
  var recount = false;
//! for r in 0..ROWS
  recount = recount || total$r.n < shown$r;
  let bound$r = 0.01f / max(total$r.n, 1f);
//! end
  if (recount) {
//! for r in 0..ROWS
    total$r.above = 0f;
//! end
    for (var j = begin; j < limit; j++) {
//! insert KEY_SCORES
//! for r in 0..ROWS
      total$r.above += select(0f, 1f, seen$r && weight(s$r, term$r) >= bound$r);
//! end
    }
  }
//! end

  var sums = Sums();
  sums.score_max = LOWEST;
  var offset = 0f;
  var square = 0f;
//! for r in 0..ROWS
  let fair$r = total$r.n > 0f && total$r.spoilt == 0f;
//! if NORMALISED
  // One such score, and every weight of the row is NaN.
  sums.nonfinite += select(total$r.n, 0f, total$r.spoilt == 0f);
//! else
  sums.nonfinite += total$r.spoilt;
//! end
  sums.score_nonfinite += total$r.unscored;
  if (fair$r) {
    let empty = total$r.mass <= 0f;
    let exact = log(max(total$r.mass, TINY)) - total$r.log_mass / max(total$r.mass, TINY);
    let entropy = select(exact, 0f, empty || exact < 0f);
//! if ZERO_BELOW_0
    // No score above 0: all weights are 0, and the first is the largest.
    let top_key = select(top_key$r, first_seen$r, row_max$r <= 0f);
//! else
    let top_key = top_key$r;
//! end
//! if EXTRA
    let own_mass = total$r.placed_mass;
//! else
    let own_mass = total$r.mass;
//! end
    let placed = first_seen$r < OWN;
    let unplaced = own_mass <= 0f;
    let has_previous = place$r >= 1f;
    let sunk = has_previous && first_seen$r == 0u;
    let repeated = place$r >= f32(REPEATED);
    sums.rows += 1f;
    sums.rows_of_two += select(0f, 1f, total$r.n > 1f);
    sums.rows_placed += select(0f, 1f, placed);
    sums.rows_with_previous += select(0f, 1f, has_previous);
    sums.rows_sunk += select(0f, 1f, sunk);
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
    sums.max += weight(max(row_max$r, learned_top$r), term$r);
    sums.argmax_distance += select(0f, place$r - f32(top_key), placed);
    sums.sink += select(0f, total$r.sink, sunk);
    sums.previous += select(0f, total$r.previous, has_previous);
    sums.self_weight += total$r.self_weight;
    sums.distance += select(total$r.weighted_distance / max(own_mass, TINY), 0f, unplaced);
    sums.extra_mass += select(total$r.learned_mass / max(total$r.mass, TINY), 0f, empty);
    sums.effective_keys += exp(entropy);
    sums.sparsity += (total$r.n - total$r.above) / total$r.n;
    sums.induction += select(0f, total$r.induced, repeated);
    sums.duplicate += select(0f, total$r.duplicated, repeated);
    sums.score_max = max(sums.score_max, peak$r);
    offset += total$r.offset;
    square += total$r.square;
  }
//! end
  sums.scores = sums.pairs * shift + offset;
  sums.score_m2 = max(square - offset * offset / max(sums.pairs, 1f), 0f);
  let mean_mass = sums.rowmass / max(sums.rows, 1f);
//! for r in 0..ROWS
  sums.rowmass_m2 += select(0f, (total$r.mass - mean_mass) * (total$r.mass - mean_mass), fair$r);
//! end
  if (first_row < T) { partial[bh * TILES + row_tile] = sums; }
}
