// Computes the sums for the statistics of dL/dpattern and dL/dscores. Each invocation keeps ROWS queries and the corresponding
// rows of dz in registers, loops over the tiles of keys, and recomputes dA = dz . v and ds as the backward kernels do.
@group(0) @binding(0) var<storage, read_write> partial: array<Sums>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
@group(0) @binding(4) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(5) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(6) var<storage, read> inner: array<inner_item>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR
//! insert SUMS
//! insert QUERIES
//! insert ROW_GRADIENTS
  var sums = Sums();
  var pattern_absmax = 0f;
  var scores_absmax = 0f;
  var pattern_square = 0f;
  var scores_square = 0f;
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    // Each tile is summed separately, because a long sum of similar values would be rounded in the same direction at each step.
    var tile = Sums();
    var tile_pattern_square = 0f;
    var tile_scores_square = 0f;
    for (var j = first; j < end; j++) {
//! insert SCORES
//! insert WEIGHT_GRADIENTS
//! for r in 0..ROWS
      let pair$r = pair_gradient(visible(state, batch, head, i$r, j), s$r, term$r, delta$r, da$r, f32(batch), f32(head), f32(i$r), f32(j));
//! if MODIFIES
      let seen$r = pair$r.seen;
//! else
      let seen$r = pair$r.seen && !is_hidden(s$r);
//! end
      let da_counts$r = seen$r && is_finite(da$r);
      let ds_counts$r = seen$r && is_finite(pair$r.ds);
      let da_here$r = select(0f, da$r, da_counts$r);
      let ds_here$r = select(0f, pair$r.ds, ds_counts$r);
      tile.pattern_pairs += select(0f, 1f, da_counts$r);
      tile.scores_pairs += select(0f, 1f, ds_counts$r);
      tile.pattern_nonfinite += select(0f, 1f, seen$r && !da_counts$r);
      tile.scores_nonfinite += select(0f, 1f, seen$r && !ds_counts$r);
      tile.pattern += da_here$r;
      tile.scores += ds_here$r;
      tile_pattern_square += da_here$r * da_here$r;
      tile_scores_square += ds_here$r * ds_here$r;
      pattern_absmax = max(pattern_absmax, abs(da_here$r));
      scores_absmax = max(scores_absmax, abs(ds_here$r));
//! end
    }
    sums = added(sums, tile);
    pattern_square += tile_pattern_square;
    scores_square += tile_scores_square;
//! if TILED
    workgroupBarrier();
//! end
  }
  sums.pattern_absmax = pattern_absmax;
  sums.scores_absmax = scores_absmax;
  let patterns = max(sums.pattern_pairs, 1f);
  let scores = max(sums.scores_pairs, 1f);
  sums.pattern_m2 = max(pattern_square - sums.pattern * sums.pattern / patterns, 0f);
  sums.scores_m2 = max(scores_square - sums.scores * sums.scores / scores, 0f);
  if (first_row < T) { partial[bh * TILES + row_tile] = sums; }
}
