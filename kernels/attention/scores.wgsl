// Computes the score s = scale * (q . k_j) of each query row and key j, before the score modifier. The queries in registers are
// already multiplied by scale.
//! for r in 0..ROWS
      var s$r = 0f;
//! end
      {
//! if TILED
        let k_at = (j - first) * D4;
//! else
        let k_at = key_row(batch, j, kv_head) * D;
//! end
//! for e in 0..D4
        {
//! if TILED
          let key = tile_k[k_at + $eu];
//! else
          let key = load_k(k_at, $eu);
//! end
//! for r in 0..ROWS
          s$r += dot(q$r_$e, key);
//! end
        }
//! end
      }
