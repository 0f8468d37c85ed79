// cache[b, positions[b, t], :] = rows[b, t, :]. A row whose position is S or more is skipped.
@group(0) @binding(0) var<storage, read_write> cache: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;

//! each i in 0..B * T * C
  let row = i / C;
  let at = positions[row];
  if (at < S) { cache[(row / T * S + at) * C + i % C] = rows[i]; }
//! end
