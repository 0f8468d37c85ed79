// For gradient kernels whose rows are queries: loads dz and the row term of each query and, if needed, computes
// delta_i = dz_i . inner_i.
//! for r in 0..ROWS
//! for e in 0..V4
  let g$r_$e = load_dz(row$r * DV, $eu);
//! end
//! if HAS_ROW
  let term$r = row_term[bh * T + min(i$r, T - 1u)];
//! else
  let term$r = 1f;
//! end
  var delta$r = 0f;
//! if EXACT
//! for e in 0..V4
  delta$r += dot(g$r_$e, load_inner(row$r * DV, $eu));
//! end
//! end
//! end
