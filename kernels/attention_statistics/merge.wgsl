// Statistics of every head from the sums of its rows: a workgroup a head, each lane some of the records in their order, then
// the lanes in pairs. Spreads are merged about their means (Chan, Golub and LeVeque 1983).
@group(0) @binding(0) var<storage, read> partial: array<Sums>;
@group(0) @binding(1) var<storage, read_write> statistics: array<u32>;
//! insert SUMS
var<workgroup> of_lane: array<Sums, LANES>;

/** What is of n numbers, as bits: NaN of none. */
const NONE = 0x7fc00000u;
fn among(x: f32, n: f32) -> u32 { return select(NONE, bitcast<u32>(x), n > 0f); }
fn mean(sum: f32, n: f32) -> u32 { return among(sum / max(n, 1f), n); }
fn root_mean(squares: f32, n: f32) -> u32 { return among(sqrt(squares / max(n, 1f)), n); }

/** Spread of two groups together: of n and m numbers, of these sums and these spreads about their own means. */
fn spread(n: f32, sum_n: f32, spread_n: f32, m: f32, sum_m: f32, spread_m: f32) -> f32 {
  let apart = sum_m / max(m, 1f) - sum_n / max(n, 1f);
  return spread_n + spread_m + apart * apart * (n / max(n + m, 1f)) * m;
}

fn merged(a: Sums, b: Sums) -> Sums {
  var c = added(a, b);
//! if GRADIENT
  c.pattern_spread = spread(a.pattern_pairs, a.pattern, a.pattern_spread, b.pattern_pairs, b.pattern, b.pattern_spread);
  c.scores_spread = spread(a.scores_pairs, a.scores, a.scores_spread, b.scores_pairs, b.scores, b.scores_spread);
  c.pattern_top = max(a.pattern_top, b.pattern_top);
  c.scores_top = max(a.scores_top, b.scores_top);
//! else
  c.mass_spread = spread(a.rows, a.mass, a.mass_spread, b.rows, b.mass, b.mass_spread);
  c.score_spread = spread(a.pairs, a.scores, a.score_spread, b.pairs, b.scores, b.score_spread);
  c.score_max = max(a.score_max, b.score_max);
//! end
  return c;
}

//! if !GRADIENT
/** 2^80 and 2^-80: what large and small weights were scaled by. */
const LARGE = 0x1p+80f;
const SMALL = 0x1p-80f;

/** sqrt(sum a^2) of the weights behind a record: of three norms, each taken by the largest of them. */
fn norm_of(sums: Sums) -> f32 {
  let norms = vec3f(sqrt(sums.squares), sqrt(sums.small_squares) * SMALL, sqrt(sums.large_squares) * LARGE);
  let most = max(max(norms.x, norms.y), norms.z);
  let shares = norms / select(1f, most, most > 0f);
  return most * sqrt(dot(shares, shares));
}
//! end

fn nothing() -> Sums {
  var none = Sums();
//! if !GRADIENT
  none.score_max = -0x1.fffffep+127f;
//! end
  return none;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  var total = nothing();
  for (var chunk = lane; chunk < CHUNKS; chunk += LANES) {
    var part = nothing();
    for (var at = chunk * CHUNK; at < min((chunk + 1u) * CHUNK, BATCH * TILES); at++) {
      part = merged(part, partial[((at / TILES) * H + head) * TILES + at % TILES]);
    }
    total = merged(total, part);
  }
//! if !GRADIENT
  // Norms of samples, each over its records.
  for (var b = lane; b < BATCH; b += LANES) {
    var sample = Sums();
    for (var tile = 0u; tile < TILES; tile++) {
      let part = partial[(b * H + head) * TILES + tile];
      sample.rows += part.rows;
      sample.squares += part.squares;
      sample.small_squares += part.small_squares;
      sample.large_squares += part.large_squares;
    }
    total.samples += select(0f, 1f, sample.rows > 0f);
    total.pnorm += norm_of(sample);
  }
//! end
  of_lane[lane] = total;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { of_lane[lane] = merged(of_lane[lane], of_lane[lane + half]); }
  }
  if (lane > 0u) { return; }
  let sums = of_lane[0];
  let out = head * COLUMNS;
//! if GRADIENT
  let patterns = sums.pattern_pairs;
  let scores = sums.scores_pairs;
  statistics[out] = mean(sums.pattern, patterns);
  statistics[out + 1u] = root_mean(sums.pattern_spread, patterns);
  statistics[out + 2u] = among(sums.pattern_top, patterns);
  statistics[out + 3u] = among(sqrt(sums.pattern_spread + sums.pattern * sums.pattern / max(patterns, 1f)), patterns);
  statistics[out + 4u] = mean(sums.scores, scores);
  statistics[out + 5u] = root_mean(sums.scores_spread, scores);
  statistics[out + 6u] = among(sums.scores_top, scores);
  statistics[out + 7u] = among(sqrt(sums.scores_spread + sums.scores * sums.scores / max(scores, 1f)), scores);
  statistics[out + 8u] = bitcast<u32>(sums.pattern_nonfinite);
  statistics[out + 9u] = bitcast<u32>(sums.scores_nonfinite);
//! else
  let rows = sums.rows;
  statistics[out] = mean(sums.entropy, rows);
  statistics[out + 1u] = mean(sums.entropy_ratio, sums.rows_of_two);
//! if BERNOULLI
  statistics[out + 2u] = mean(sums.bernoulli_entropy, rows);
//! else
  statistics[out + 2u] = NONE;
//! end
  statistics[out + 3u] = mean(sums.mass, rows);
  statistics[out + 4u] = root_mean(sums.mass_spread, rows);
  statistics[out + 5u] = mean(sums.top, rows);
  statistics[out + 6u] = mean(sums.top_distance, sums.rows_placed);
  statistics[out + 7u] = mean(sums.sink, sums.rows_sunk);
  statistics[out + 8u] = mean(sums.previous, sums.rows_later);
  statistics[out + 9u] = mean(sums.own, rows);
  statistics[out + 10u] = mean(sums.distance, sums.rows_placed);
  statistics[out + 11u] = mean(sums.effective_keys, rows);
  statistics[out + 12u] = mean(sums.sparsity, rows);
  statistics[out + 13u] = among(sums.score_max, sums.pairs);
  statistics[out + 14u] = mean(sums.scores, sums.pairs);
  statistics[out + 15u] = root_mean(sums.score_spread, sums.pairs);
  statistics[out + 16u] = bitcast<u32>(sums.nonfinite);
  statistics[out + 17u] = bitcast<u32>(sums.score_nonfinite);
  statistics[out + 18u] = mean(sums.extra_mass, rows);
  statistics[out + 19u] = among(norm_of(sums), rows);
  statistics[out + 20u] = mean(sums.pnorm, sums.samples);
//! if REPEATED
  statistics[out + 21u] = mean(sums.induction, sums.rows_again);
  statistics[out + 22u] = mean(sums.duplicate, sums.rows_again);
//! end
//! end
}
