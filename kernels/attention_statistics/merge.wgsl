// Computes the statistics of each head from the records of sums of its rows, one workgroup per head. Each lane merges some of
// the records in order; then the lanes are merged in pairs. Sums of squared distances from the mean, `m2`, are merged by the
// formula of Chan, Golub and LeVeque (1983).
@group(0) @binding(0) var<storage, read> partial: array<Sums>;
@group(0) @binding(1) var<storage, read_write> statistics: array<u32>;
//! insert SUMS
alias Part = Sums;

/** The bits of NaN, the value of a statistic over no entries. */
const NONE = 0x7fc00000u;
fn among(x: f32, n: f32) -> u32 { return select(NONE, bitcast<u32>(x), n > 0f); }
fn mean(sum: f32, n: f32) -> u32 { return among(sum / max(n, 1f), n); }
fn root_mean(squares: f32, n: f32) -> u32 { return among(sqrt(squares / max(n, 1f)), n); }

/** Returns the m2 of the union of two groups of n and m values, given the sum and the m2 of each group. */
fn merged_m2(n: f32, sum_n: f32, m2_n: f32, m: f32, sum_m: f32, m2_m: f32) -> f32 {
  let delta = sum_m / max(m, 1f) - sum_n / max(n, 1f);
  return m2_n + m2_m + delta * delta * (n / max(n + m, 1f)) * m;
}

fn combine(a: Sums, b: Sums) -> Sums {
  var c = added(a, b);
//! if GRADIENT
  c.pattern_m2 = merged_m2(a.pattern_pairs, a.pattern, a.pattern_m2, b.pattern_pairs, b.pattern, b.pattern_m2);
  c.scores_m2 = merged_m2(a.scores_pairs, a.scores, a.scores_m2, b.scores_pairs, b.scores, b.scores_m2);
  c.pattern_absmax = max(a.pattern_absmax, b.pattern_absmax);
  c.scores_absmax = max(a.scores_absmax, b.scores_absmax);
//! else
  c.rowmass_m2 = merged_m2(a.rows, a.rowmass, a.rowmass_m2, b.rows, b.rowmass, b.rowmass_m2);
  c.score_m2 = merged_m2(a.pairs, a.scores, a.score_m2, b.pairs, b.scores, b.score_m2);
  c.score_max = max(a.score_max, b.score_max);
//! end
  return c;
}
//! insert OVER_LANES

//! if !GRADIENT
/** 2^80 and 2^-80, which undo the scaling of large and small weights. */
const LARGE = 0x1p+80f;
const SMALL = 0x1p-80f;

/**
 * Returns sqrt(sum a^2) of a record. The norms of its ordinary, small and large weights are divided by the largest of these three
 * norms before they are squared.
 */
fn norm_of(sums: Sums) -> f32 {
  let norms = vec3f(sqrt(sums.squares), sqrt(sums.small_squares) * SMALL, sqrt(sums.large_squares) * LARGE);
  let largest = max(max(norms.x, norms.y), norms.z);
  let shares = norms / select(1f, largest, largest > 0f);
  return largest * sqrt(dot(shares, shares));
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
      part = combine(part, partial[((at / TILES) * H + head) * TILES + at % TILES]);
    }
    total = combine(total, part);
  }
//! if !GRADIENT
  // The norm of each sample is computed from all records of this sample.
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
  let sums = over_lanes(total, lane);
  if (lane > 0u) { return; }
  let out = head * COLUMNS;
//! insert COLUMN_LINES
}
