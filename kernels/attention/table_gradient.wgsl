// Gradients of the tables that a score modifier looks up: dT[m] is the sum of ds * (d score / d T[m]) over the pairs that look
// up entry m. Invocations loop over different rows, and each adds to its own slice of `partial`, so that there are no data
// races. A reduction then sums the slices.
@group(0) @binding(0) var<storage, read_write> partial: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
@group(0) @binding(4) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(5) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(6) var<storage, read> delta: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR

//! insert TABLE_SLOPES

//! each slice in 0..SLICES by LANES
  unknown_zero = select(0u, 0xffffffffu, groups.x == 0u);
  for (var m = 0u; m < ENTRIES; m++) { partial[slice * ENTRIES + m] = 0f; }
  for (var at = slice; at < BATCH * H * T; at += SLICES) {
    let bh = at / T;
    let batch = bh / H;
    let head = bh % H;
    let kv_head = kv_of(head);
    let i = at % T;
    let row = query_row(batch, i, head);
//! for e in 0..D4
    let q$e = load_q(row * D, $eu) * SCALE;
//! end
//! for e in 0..V4
    let g$e = load_dz(row * DV, $eu);
//! end
//! if HAS_ROW
    let term = row_term[bh * T + i];
//! else
    let term = 1f;
//! end
//! if EXACT
    let row_delta = delta[bh * T + i];
//! else
    let row_delta = 0f;
//! end
    for (var j = key_start(i); j < key_limit(i); j++) {
      let state = block_state(batch, head, i / BLOCK, j / BLOCK);
      let seen = state != 0u && visible(state, batch, head, i, j);
      var s = 0f;
      var da = 0f;
//! for e in 0..D4
      s += dot(q$e, load_k(key_row(batch, j, kv_head) * D, $eu));
//! end
//! for e in 0..V4
      da += dot(g$e, load_v(key_row(batch, j, kv_head) * DV, $eu));
//! end
//! if DROPOUT
      da *= dropout_scale(bh, i, j);
//! end
      let pair = pair_gradient(seen, s, term, row_delta, da, f32(batch), f32(head), f32(i), f32(j));
      if (pair.seen) {
        add_slopes(slice * ENTRIES, pair.ds, s, f32(batch), f32(head), f32(i), f32(j));
      }
    }
  }
//! end
