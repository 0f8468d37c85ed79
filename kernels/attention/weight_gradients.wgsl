// Computes da = dz . v_j for each query row, multiplied by the dropout factor of the pair (row, j).
//! for r in 0..ROWS
      var da$r = 0f;
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
          da$r += dot(g$r_$e, value);
//! end
        }
//! end
      }
//! if DROPOUT
//! for r in 0..ROWS
      da$r *= dropout_scale(bh, i$r, j);
//! end
//! end
