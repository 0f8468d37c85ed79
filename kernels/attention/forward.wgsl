// Computes z_i = sum_j a_ij v_j. Each invocation keeps ROWS queries and their sums in registers and loops over the tiles of keys.
// The code of the activation declares further variables for each row's weights and row term. No T x S matrix is stored.
@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
//! if HAS_ROW
@group(0) @binding(4) var<storage, read_write> row_term: array<f32>;
//! end
//! if KEEPS_INNER
@group(0) @binding(5) var<storage, read_write> inner: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert QUERIES
//! for r in 0..ROWS
//! for e in 0..V4
  var z$r_$e = vec4f();
//! end
//! if KEEPS_INNER
//! for e in 0..V4
  var inner$r_$e = vec4f();
//! end
  var shares$r = 0f;
//! end
//! end
//! insert ROW_BEGIN
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    for (var j = first; j < end; j++) {
//! insert SCORES
//! for r in 0..ROWS
//! if MODIFIES
      s$r = modified(s$r, f32(batch), f32(head), f32(i$r), f32(j));
//! end
      let seen$r = visible(state, batch, head, i$r, j);
//! end
//! insert ROW_STEP
//! for r in 0..ROWS
//! if KEEPS_INNER
      var share$r = share(a$r);
      shares$r += share$r;
//! end
//! if DROPOUT
      let keep$r = dropout_scale(bh, i$r, j);
      a$r *= keep$r;
//! if KEEPS_INNER
      share$r *= keep$r;
//! end
//! end
//! end
      {
//! if TILED
        let v_at = (j - first) * V4;
//! else
        let v_at = key_row(batch, j, kv_head) * DV;
//! end
//! for e in 0..V4
        {
//! if TILED
          let value = tile_v[v_at + $eu];
//! else
          let value = load_v(v_at, $eu);
//! end
//! for r in 0..ROWS
//! if RESCALES
          z$r_$e = z$r_$e * rescale$r + a$r * value;
//! else
          z$r_$e += a$r * value;
//! end
//! if KEEPS_INNER
          inner$r_$e += share$r * value;
//! end
//! end
        }
//! end
      }
    }
//! if TILED
    workgroupBarrier();
//! end
  }
//! insert ROW_END
//! for r in 0..ROWS
  if (i$r < T) {
    let z_at = row$r * DV;
//! if HAS_ROW
    row_term[bh * T + i$r] = term$r;
//! end
//! if KEEPS_INNER
    let inner_factor$r = select(1f / shares$r, 0f, shares$r == 0f);
//! end
//! for e in 0..V4
//! for c in 0..4
//! if 4 * $e + $c < DV
    z[z_at + 4u * $eu + $cu] = z$r_$e[$c] * factor$r;
//! if KEEPS_INNER
    inner[z_at + 4u * $eu + $cu] = inner$r_$e[$c] * inner_factor$r;
//! end
//! end
//! end
//! end
  }
//! end
}
