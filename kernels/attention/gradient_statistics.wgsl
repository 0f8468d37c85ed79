// Sums behind the statistics of the gradients of pattern and scores: every invocation keeps ROWS queries, their z and dz in
// registers, walks the tiles of keys and recomputes dA = dz . v and ds as the backward kernels do.
@group(0) @binding(0) var<storage, read_write> partial: array<Sums>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
@group(0) @binding(4) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(5) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(6) var<storage, read> z: array<z_item>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR
//! insert SUMS
//! insert QUERIES
//! insert ROW_GRADIENTS
  var sums = Sums();
  var pattern_square = 0f;
  var scores_square = 0f;
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    // A tile's sums first, then all of them: long sums of like numbers would round the same way at every step.
    var tile = Sums();
    var tile_pattern_square = 0f;
    var tile_scores_square = 0f;
    for (var j = first; j < end; j++) {
//! insert SCORES
//! insert WEIGHT_GRADIENTS
//! for r in 0..ROWS
      let seen$r = visible(state, batch, head, i$r, j);
      da$r = select(0f, da$r, seen$r);
      let ds$r = pair_of(seen$r, s$r, term$r, delta$r, da$r, f32(batch), f32(head), f32(i$r), f32(j)).ds;
      tile.pairs += select(0f, 1f, seen$r);
      tile.pattern += da$r;
      tile.scores += ds$r;
      tile_pattern_square += da$r * da$r;
      tile_scores_square += ds$r * ds$r;
      sums.pattern_top = max(sums.pattern_top, abs(da$r));
      sums.scores_top = max(sums.scores_top, abs(ds$r));
//! end
    }
    sums.pairs += tile.pairs;
    sums.pattern += tile.pattern;
    sums.scores += tile.scores;
    pattern_square += tile_pattern_square;
    scores_square += tile_scores_square;
//! if STAGED
    workgroupBarrier();
//! end
  }
  let pairs = max(sums.pairs, 1f);
  sums.pattern_spread = max(pattern_square - sums.pattern * sums.pattern / pairs, 0f);
  sums.scores_spread = max(scores_square - sums.scores * sums.scores / pairs, 0f);
//! if STAGED
  if (first_row < T) { partial[bh * TILES + row_tile] = sums; }
//! else
  partial[bh * TILES + row_tile] = sums;
//! end
}
