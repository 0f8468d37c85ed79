// dq_i = scale sum_j ds_ij k_j, with the weights recomputed from q, k and the saved row terms. For the exact gradient of
// a softmax ds = a (dz.v - delta), delta_i = dz_i . z_i, which is saved for the keys' kernel.
@group(0) @binding(0) var<storage, read_write> dq: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
@group(0) @binding(4) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(5) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(6) var<storage, read> z: array<z_item>;
@group(0) @binding(7) var<storage, read_write> delta: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR
//! if STAGED
var<workgroup> tile_k: array<vec4f, TILE_K>;
var<workgroup> tile_v: array<vec4f, TILE_V>;
//! end

@compute @workgroup_size(LANES)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
//! if STAGED
  let bh = group.y;
  let first_row = (group.x * LANES + lane) * ROWS;
  let begin = key_start(group.x * LANES * ROWS) / TILE * TILE;
  let limit = key_limit((group.x + 1u) * LANES * ROWS - 1u);
//! else
  let flat = id.y * groups.x * LANES + id.x;
  let bh = flat / TILES;
  let first_row = (flat % TILES) * ROWS;
  if (bh >= BATCH * H) { return; }
  let begin = key_start(first_row) / TILE * TILE;
  let limit = key_limit(first_row + ROWS - 1u);
//! end
  let batch = bh / H;
  let head = bh % H;
  let kv_head = kv_of(head);
//! for r in 0..ROWS
  let i$r = first_row + $ru;
  let row$r = query_row(batch, i$r, head);
//! for e in 0..D4
  let q$r_$e = load_q(row$r * D, $eu) * SCALE;
  var dq$r_$e = vec4f();
//! end
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
  delta$r += dot(g$r_$e, load_z(row$r * DV, $eu));
//! end
//! end
//! end
  for (var first = begin; first < limit; first += TILE) {
    let state = block_state(batch, head, first_row / BLOCK, first / BLOCK);
//! if STAGED
    for (var x = lane; x < TILE * D4; x += LANES) {
      tile_k[x] = load_k(key_row(batch, first + x / D4, kv_head) * D, x % D4);
    }
    for (var x = lane; x < TILE * V4; x += LANES) {
      tile_v[x] = load_v(key_row(batch, first + x / V4, kv_head) * DV, x % V4);
    }
    workgroupBarrier();
//! end
    let end = select(min(first + TILE, limit), first, state == 0u);
    for (var j = first; j < end; j++) {
//! if STAGED
      let k_at = (j - first) * D4;
      let v_at = (j - first) * V4;
//! else
      let k_at = key_row(batch, j, kv_head) * D;
      let v_at = key_row(batch, j, kv_head) * DV;
//! end
//! for e in 0..D4
//! if STAGED
      let key$e = tile_k[k_at + $eu];
//! else
      let key$e = load_k(k_at, $eu);
//! end
//! end
//! for r in 0..ROWS
      var s$r = 0f;
      var da$r = 0f;
//! for e in 0..D4
      s$r += dot(q$r_$e, key$e);
//! end
//! end
//! for e in 0..V4
      {
//! if STAGED
        let value = tile_v[v_at + $eu];
//! else
        let value = load_v(v_at, $eu);
//! end
//! for r in 0..ROWS
        da$r += dot(g$r_$e, value);
//! end
      }
//! end
//! for r in 0..ROWS
//! if DROPOUT
      da$r *= kept(bh, i$r, j);
//! end
      var ds$r = pair_of(visible(state, batch, head, i$r, j), s$r, term$r, delta$r, da$r, f32(batch), f32(head), f32(i$r), f32(j)).ds;
//! if MODIFIES
      ds$r *= slope(s$r, f32(batch), f32(head), f32(i$r), f32(j));
//! end
//! for e in 0..D4
      dq$r_$e += ds$r * key$e;
//! end
//! end
    }
//! if STAGED
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
