// Computes dq_i = scale sum_j ds_ij k_j; the weights are recomputed from q, k and the saved row terms. For the exact gradient of
// a normalised activation, ds = w (dz . v - delta) with delta_i = dz_i . inner_i; delta is saved for the key gradient.
@group(0) @binding(0) var<storage, read_write> dq: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
@group(0) @binding(4) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(5) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(6) var<storage, read> inner: array<inner_item>;
@group(0) @binding(7) var<storage, read_write> delta: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR
//! insert QUERIES
//! insert ROW_GRADIENTS
//! for r in 0..ROWS
//! for e in 0..D4
  var dq$r_$e = vec4f();
//! end
//! end
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    for (var j = first; j < end; j++) {
//! if TILED
      let k_at = (j - first) * D4;
//! else
      let k_at = key_row(batch, j, kv_head) * D;
//! end
//! for e in 0..D4
//! if TILED
      let key$e = tile_k[k_at + $eu];
//! else
      let key$e = load_k(k_at, $eu);
//! end
//! end
//! for r in 0..ROWS
      var s$r = 0f;
//! for e in 0..D4
      s$r += dot(q$r_$e, key$e);
//! end
//! end
//! insert WEIGHT_GRADIENTS
//! for r in 0..ROWS
      let ds$r = pair_gradient(visible(state, batch, head, i$r, j), s$r, term$r, delta$r, da$r, f32(batch), f32(head), f32(i$r), f32(j)).raw;
//! for e in 0..D4
      dq$r_$e += ds$r * key$e;
//! end
//! end
    }
//! if TILED
    workgroupBarrier();
//! end
  }
//! for r in 0..ROWS
  if (i$r < T) {
//! if EXACT
    delta[bh * T + i$r] = delta$r;
//! end
//! for e in 0..D4
//! for c in 0..4
//! if 4 * $e + $c < D
    dq[row$r * D + 4u * $eu + $cu] = dq$r_$e[$c] * SCALE;
//! end
//! end
//! end
  }
//! end
}
