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

const TINY = 1e-37f;

fn weight(score: f32, term: f32) -> f32 {
//! if SOFTMAX
  return exp(min(score - term, 0f));
//! else
  return term * activation(score);
//! end
}
fn log_weight(a: f32, score: f32, term: f32) -> f32 {
//! if SOFTMAX
  return min(score - term, 0f);
//! else
  return log(max(a, TINY));
//! end
}
/** Of a weight and its logarithm; 1 - a would lose the digits of a small one. */
fn bernoulli_entropy(a: f32, log_a: f32) -> f32 {
  let rest = 1f - a;
  let series = -a * (1f + a * (0.5f + a * (0.33333333f + a * 0.25f)));
  return -(a * log_a + rest * select(log(max(rest, TINY)), series, a < 0.03f));
}

//! insert QUERIES
//! for r in 0..ROWS
  let place$r = f32(min(i$r, T - 1u) + RIGHT) - f32(LEFT);
//! if HAS_ROW
  let term$r = row_term[bh * T + min(i$r, T - 1u)];
//! else
  let term$r = 1f;
//! end
//! end

  // How many keys each row sees, and the first of them.
//! if HAS_MASK
//! for r in 0..ROWS
  var n$r = 0f;
  var first_seen$r = S;
//! end
  for (var first = begin; first < limit; first += TILE) {
    let state = block_state(batch, head, first_row / BLOCK, first / BLOCK);
    let end = select(min(first + TILE, limit), first, state == 0u);
    for (var j = first; j < end; j++) {
//! for r in 0..ROWS
      let seen$r = visible(state, batch, head, i$r, j);
      n$r += select(0f, 1f, seen$r);
      first_seen$r = select(first_seen$r, min(first_seen$r, j), seen$r);
//! end
    }
  }
//! else
//! for r in 0..ROWS
  let first_seen$r = key_start(i$r);
  let n$r = select(0f, f32(max(key_limit(i$r), first_seen$r) - first_seen$r), i$r < T);
//! end
//! end

  // Scores are summed less one of them, so that their spread keeps its digits.
  var shift = 0f;
  let shift_at = key_row(batch, first_seen0, kv_head) * D;
//! for e in 0..D4
  shift += dot(q0_$e, load_k(shift_at, $eu));
//! end
//! if MODIFIES
  shift = modified(shift, f32(batch), f32(head), f32(i0), f32(min(first_seen0, S - 1u)));
//! end

//! for r in 0..ROWS
  var mass$r = 0f;
  var log_mass$r = 0f;
  var reach$r = 0f;
  var offset$r = 0f;
  var square$r = 0f;
  var bernoulli$r = 0f;
  var sink$r = 0f;
  var previous$r = 0f;
  var own$r = 0f;
  var induced$r = 0f;
  var copied$r = 0f;
  var above$r = 0f;
  var top$r = MASKED;
  var top_key$r = first_seen$r;
  let threshold$r = 0.01f / max(n$r, 1f);
//! end
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    // A tile's sums first, then the row's: long rows of equal weights would round the same way at every step.
//! for r in 0..ROWS
    var tile_mass$r = 0f;
    var tile_log$r = 0f;
    var tile_reach$r = 0f;
    var tile_offset$r = 0f;
    var tile_square$r = 0f;
    var tile_bernoulli$r = 0f;
//! end
    for (var j = first; j < end; j++) {
//! insert SCORES
      let at = f32(j);
      let is_sink = select(0f, 1f, j == 0u);
//! for r in 0..ROWS
//! if MODIFIES
      s$r = modified(s$r, f32(batch), f32(head), f32(i$r), at);
//! end
      let seen$r = visible(state, batch, head, i$r, j);
      let a$r = select(0f, weight(s$r, term$r), seen$r);
      let log_a$r = log_weight(a$r, s$r, term$r);
      let back$r = place$r - at;
      let apart$r = select(0f, s$r - shift, seen$r);
      tile_mass$r += a$r;
      tile_log$r += a$r * log_a$r;
      tile_reach$r += a$r * back$r;
      tile_offset$r += apart$r;
      tile_square$r += apart$r * apart$r;
      sink$r += a$r * is_sink;
      own$r += select(0f, a$r, back$r == 0f);
      previous$r += select(0f, a$r, back$r == 1f);
      above$r += select(0f, 1f, a$r >= threshold$r);
      let higher$r = seen$r && s$r > top$r;
      top$r = select(top$r, s$r, higher$r);
      top_key$r = select(top_key$r, j, higher$r);
//! if SIGMOID
      tile_bernoulli$r += select(0f, bernoulli_entropy(a$r, log_a$r), seen$r);
//! end
//! if REPEATED
      induced$r += select(0f, a$r, back$r == f32(REPEATED) - 1f);
      copied$r += select(0f, a$r, back$r == f32(REPEATED));
//! end
//! end
    }
//! for r in 0..ROWS
    mass$r += tile_mass$r;
    log_mass$r += tile_log$r;
    reach$r += tile_reach$r;
    offset$r += tile_offset$r;
    square$r += tile_square$r;
    bernoulli$r += tile_bernoulli$r;
//! end
//! if STAGED
    workgroupBarrier();
//! end
  }

  var sums = Sums();
  sums.score_max = MASKED;
  var offset = 0f;
  var square = 0f;
//! for r in 0..ROWS
  if (n$r > 0f) {
    // By less-than tests alone, so that a weight that is not a number shows in the result.
    let empty = mass$r <= 0f;
    let exact = log(max(mass$r, TINY)) - log_mass$r / max(mass$r, TINY);
    let entropy = select(exact, 0f, empty || exact < 0f);
//! if RECTIFIED
    // No score above 0: all weights are 0, and the first is the largest.
    let top_key = select(top_key$r, first_seen$r, top$r <= 0f);
//! else
    let top_key = top_key$r;
//! end
    let later = place$r >= 1f;
    let again = place$r >= f32(REPEATED);
    sums.rows += 1f;
    sums.rows_of_two += select(0f, 1f, n$r > 1f);
    sums.rows_later += select(0f, 1f, later);
    sums.rows_again += select(0f, 1f, again);
    sums.pairs += n$r;
    sums.entropy += entropy;
    sums.entropy_ratio += select(0f, entropy / log(max(n$r, 2f)), n$r > 1f);
    sums.bernoulli_entropy += bernoulli$r / n$r;
    sums.mass += mass$r;
    sums.top += weight(top$r, term$r);
    sums.top_distance += place$r - f32(top_key);
    sums.sink += select(0f, sink$r, later);
    sums.previous += select(0f, previous$r, later);
    sums.own += own$r;
    sums.distance += select(reach$r / max(mass$r, TINY), 0f, empty);
    sums.effective_keys += exp(entropy);
    sums.sparsity += (n$r - above$r) / n$r;
    sums.induction += select(0f, induced$r, again);
    sums.duplicate += select(0f, copied$r, again);
    sums.score_max = max(sums.score_max, top$r);
    offset += offset$r;
    square += square$r;
  }
//! end
  sums.scores = sums.pairs * shift + offset;
  sums.score_spread = max(square - offset * offset / max(sums.pairs, 1f), 0f);
  let mean_mass = sums.mass / max(sums.rows, 1f);
//! for r in 0..ROWS
  sums.mass_spread += select(0f, (mass$r - mean_mass) * (mass$r - mean_mass), n$r > 0f);
//! end
//! if STAGED
  if (first_row < T) { partial[bh * TILES + row_tile] = sums; }
//! else
  partial[bh * TILES + row_tile] = sums;
//! end
}
