// This fragment begins the kernels whose rows are queries: it sets the range of keys to loop over, and loads the scaled queries
// into registers. MAIN opens the function `main`; the kernel that inserts this fragment closes it.
//! if TILED
var<workgroup> tile_k: array<vec4f, TILE_K>;
//! if READS_V
var<workgroup> tile_v: array<vec4f, TILE_V>;
//! end
//! end

//! insert MAIN
  let begin = key_start(low) / TILE * TILE;
  let limit = key_limit(high);
  let batch = bh / H;
  let head = bh % H;
  let kv_head = kv_of(head);
//! for r in 0..ROWS
  let i$r = first_row + $ru;
  let row$r = query_row(batch, i$r, head);
//! for e in 0..D4
  let q$r_$e = load_q(row$r * D, $eu) * SCALE;
//! end
//! end
