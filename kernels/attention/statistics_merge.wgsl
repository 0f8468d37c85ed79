// Statistics of every head from the sums of its rows: a workgroup a head, each lane some of the records in their order, then
// the lanes in pairs. Spreads are merged about their means (Chan, Golub and LeVeque 1983).
@group(0) @binding(0) var<storage, read> partial: array<Sums>;
@group(0) @binding(1) var<storage, read_write> statistics: array<f32>;
//! insert SUMS
var<workgroup> of_lane: array<Sums, LANES>;

/** Spread of two groups together: of n and m numbers, of these sums and these spreads about their own means. */
fn spread(n: f32, sum_n: f32, spread_n: f32, m: f32, sum_m: f32, spread_m: f32) -> f32 {
  let apart = sum_m / max(m, 1f) - sum_n / max(n, 1f);
  return spread_n + spread_m + apart * apart * (n / max(n + m, 1f)) * m;
}

fn merged(a: Sums, b: Sums) -> Sums {
  var c = added(a, b);
//! if GRADIENT
  c.pattern_spread = spread(a.pairs, a.pattern, a.pattern_spread, b.pairs, b.pattern, b.pattern_spread);
  c.scores_spread = spread(a.pairs, a.scores, a.scores_spread, b.pairs, b.scores, b.scores_spread);
  c.pattern_top = max(a.pattern_top, b.pattern_top);
  c.scores_top = max(a.scores_top, b.scores_top);
//! else
  c.mass_spread = spread(a.rows, a.mass, a.mass_spread, b.rows, b.mass, b.mass_spread);
  c.score_spread = spread(a.pairs, a.scores, a.score_spread, b.pairs, b.scores, b.score_spread);
  c.score_max = max(a.score_max, b.score_max);
//! end
  return c;
}

fn nothing() -> Sums {
  var none = Sums();
//! if !GRADIENT
  none.score_max = -1e30f;
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
  of_lane[lane] = total;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { of_lane[lane] = merged(of_lane[lane], of_lane[lane + half]); }
  }
  if (lane > 0u) { return; }
  let sums = of_lane[0];
  let pairs = max(sums.pairs, 1f);
  let out = head * COLUMNS;
//! if GRADIENT
  statistics[out] = sums.pattern / pairs;
  statistics[out + 1u] = sqrt(sums.pattern_spread / pairs);
  statistics[out + 2u] = sums.pattern_top;
  statistics[out + 3u] = sqrt(sums.pattern_spread + sums.pattern * sums.pattern / pairs);
  statistics[out + 4u] = sums.scores / pairs;
  statistics[out + 5u] = sqrt(sums.scores_spread / pairs);
  statistics[out + 6u] = sums.scores_top;
  statistics[out + 7u] = sqrt(sums.scores_spread + sums.scores * sums.scores / pairs);
//! else
  let rows = max(sums.rows, 1f);
  let later = max(sums.rows_later, 1f);
  let again = max(sums.rows_again, 1f);
  statistics[out] = sums.entropy / rows;
  statistics[out + 1u] = sums.entropy_ratio / max(sums.rows_of_two, 1f);
  statistics[out + 2u] = sums.bernoulli_entropy / rows;
  statistics[out + 3u] = sums.mass / rows;
  statistics[out + 4u] = sqrt(sums.mass_spread / rows);
  statistics[out + 5u] = sums.top / rows;
  statistics[out + 6u] = sums.top_distance / rows;
  statistics[out + 7u] = sums.sink / later;
  statistics[out + 8u] = sums.previous / later;
  statistics[out + 9u] = sums.own / rows;
  statistics[out + 10u] = sums.distance / rows;
  statistics[out + 11u] = sums.effective_keys / rows;
  statistics[out + 12u] = sums.sparsity / rows;
  statistics[out + 13u] = select(0f, sums.score_max, sums.pairs > 0f);
  statistics[out + 14u] = sums.scores / pairs;
  statistics[out + 15u] = sqrt(sums.score_spread / pairs);
//! if REPEATED
  statistics[out + 16u] = sums.induction / again;
  statistics[out + 17u] = sums.duplicate / again;
//! end
//! end
}
