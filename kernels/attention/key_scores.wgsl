// Computes the modified score s of each row and key j, and whether the pair is visible. Keys are read from the buffer instead of
// a shared tile, because invocations whose loops differ in length cannot share tiles.
      let state = block_state(batch, head, first_row / BLOCK, j / BLOCK);
      let k_at = key_row(batch, j, kv_head) * D;
//! for r in 0..ROWS
      var s$r = 0f;
//! for e in 0..D4
      s$r += dot(q$r_$e, load_k(k_at, $eu));
//! end
//! if MODIFIES
      s$r = modified(s$r, f32(batch), f32(head), f32(i$r), f32(j));
//! end
      let seen$r = state != 0u && visible(state, batch, head, i$r, j) && bitcast<u32>(-s$r) != INFINITY;
//! end
