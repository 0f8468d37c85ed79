// Computes dk_j = scale sum_i ds_ij q_i and dv_j = sum_i a_ij dz_i. Each invocation keeps ROWS keys, their values and both sums
// in registers. It loops over the query heads that share the key head, and over the queries that see its keys, so that no two
// invocations write the same sum.
@group(0) @binding(0) var<storage, read_write> dk: array<f32>;
@group(0) @binding(1) var<storage, read_write> dv: array<f32>;
@group(0) @binding(2) var<storage, read> q: array<q_item>;
@group(0) @binding(3) var<storage, read> k: array<k_item>;
@group(0) @binding(4) var<storage, read> v: array<v_item>;
@group(0) @binding(5) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(6) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(7) var<storage, read> delta: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR
//! if TILED
var<workgroup> tile_q: array<vec4f, TILE_K>;
var<workgroup> tile_g: array<vec4f, TILE_V>;
//! end

//! insert MAIN
  let begin = query_start(low) / TILE * TILE;
  let limit = query_limit(high);
  let batch = bh / HKV;
  let kv_head = bh % HKV;
//! for r in 0..ROWS
  let j$r = first_row + $ru;
  let row$r = key_row(batch, j$r, kv_head);
//! for e in 0..D4
  let k$r_$e = load_k(row$r * D, $eu);
  var dk$r_$e = vec4f();
//! end
//! for e in 0..V4
  let v$r_$e = load_v(row$r * DV, $eu);
  var dv$r_$e = vec4f();
//! end
//! end
  for (var member = 0u; member < H / HKV; member++) {
    let head = head_of(kv_head, member);
    let terms = (batch * H + head) * T;
    for (var first = begin; first < limit; first += TILE) {
      let state = block_state(batch, head, first / BLOCK, first_row / BLOCK);
//! if TILED
      for (var x = lane; x < TILE * D4; x += LANES) {
        tile_q[x] = load_q(query_row(batch, first + x / D4, head) * D, x % D4);
      }
      for (var x = lane; x < TILE * V4; x += LANES) {
        tile_g[x] = load_dz(query_row(batch, first + x / V4, head) * DV, x % V4);
      }
      workgroupBarrier();
//! end
      let end = select(min(first + TILE, limit), first, state == 0u);
      for (var i = first; i < end; i++) {
//! if TILED
        let q_at = (i - first) * D4;
        let g_at = (i - first) * V4;
//! else
        let q_at = query_row(batch, i, head) * D;
        let g_at = query_row(batch, i, head) * DV;
//! end
//! for e in 0..D4
//! if TILED
        let query$e = tile_q[q_at + $eu] * SCALE;
//! else
        let query$e = load_q(q_at, $eu) * SCALE;
//! end
//! end
//! for e in 0..V4
//! if TILED
        let gradient$e = tile_g[g_at + $eu];
//! else
        let gradient$e = load_dz(g_at, $eu);
//! end
//! end
//! if HAS_ROW
        let term = row_term[terms + i];
//! else
        let term = 1f;
//! end
//! if EXACT
        let row_delta = delta[terms + i];
//! else
        let row_delta = 0f;
//! end
//! for r in 0..ROWS
        {
          var s = 0f;
          var da = 0f;
//! for e in 0..D4
          s += dot(query$e, k$r_$e);
//! end
//! for e in 0..V4
          da += dot(gradient$e, v$r_$e);
//! end
//! if DROPOUT
          let keep = dropout_scale(batch * H + head, i, j$r);
          da *= keep;
//! end
          let pair = pair_gradient(j$r < S && visible(state, batch, head, i, j$r), s, term, row_delta, da, f32(batch), f32(head), f32(i), f32(j$r));
          var a = pair.a;
          let ds = pair.raw;
//! if DROPOUT
          a *= keep;
//! end
//! for e in 0..D4
          dk$r_$e += ds * query$e;
//! end
//! for e in 0..V4
          dv$r_$e += a * gradient$e;
//! end
        }
//! end
      }
//! if TILED
      workgroupBarrier();
//! end
    }
  }
//! for r in 0..ROWS
  if (j$r < S) {
//! for c in 0..4
//! for e in 0..D4
//! if 4 * $e + $c < D
    dk[row$r * D + 4u * $eu + $cu] = dk$r_$e[$c];
//! end
//! end
//! for e in 0..V4
//! if 4 * $e + $c < DV
    dv[row$r * DV + 4u * $eu + $cu] = dv$r_$e[$c];
//! end
//! end
//! end
  }
//! end
}
