// Sums behind the statistics of the gradients of pattern and scores: every invocation keeps ROWS queries, their z and dz in
// registers, walks the tiles of keys and recomputes dA = dz . v and ds as the backward kernels do.
@group(0) @binding(0) var<storage, read_write> partial: array<Sums>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
@group(0) @binding(4) var<storage, read> dz: array<dz_item>;
//! if HAS_ROW
@group(0) @binding(5) var<storage, read> row_term: array<f32>;
//! end
//! if EXACT
@group(0) @binding(6) var<storage, read> z: array<z_item>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert PAIR
//! insert SUMS
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
  let row_tile = group.x * LANES + lane;
  let first_row = row_tile * ROWS;
  let begin = key_start(group.x * LANES * ROWS) / TILE * TILE;
  let limit = key_limit((group.x + 1u) * LANES * ROWS - 1u);
//! else
  let flat = id.y * groups.x * LANES + id.x;
  let bh = flat / TILES;
  let row_tile = flat % TILES;
  let first_row = row_tile * ROWS;
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
  var sums = Sums();
  var pattern_square = 0f;
  var scores_square = 0f;
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
    // A tile's sums first, then all of them: long sums of like numbers would round the same way at every step.
    var tile = Sums();
    var tile_pattern_square = 0f;
    var tile_scores_square = 0f;
    for (var j = first; j < end; j++) {
//! if STAGED
      let k_at = (j - first) * D4;
      let v_at = (j - first) * V4;
//! else
      let k_at = key_row(batch, j, kv_head) * D;
      let v_at = key_row(batch, j, kv_head) * DV;
//! end
//! for r in 0..ROWS
      var s$r = 0f;
      var da$r = 0f;
//! end
//! for e in 0..D4
      {
//! if STAGED
        let key = tile_k[k_at + $eu];
//! else
        let key = load_k(k_at, $eu);
//! end
//! for r in 0..ROWS
        s$r += dot(q$r_$e, key);
//! end
      }
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
      let seen$r = visible(state, batch, head, i$r, j);
//! if DROPOUT
      da$r *= kept(bh, i$r, j);
//! end
      da$r = select(0f, da$r, seen$r);
      let ds$r = pair_of(seen$r, s$r, term$r, delta$r, da$r, f32(batch), f32(head), f32(i$r), f32(j)).ds;
      tile.pairs += select(0f, 1f, seen$r);
      tile.pattern += da$r;
      tile.scores += ds$r;
      tile_pattern_square += da$r * da$r;
      tile_scores_square += ds$r * ds$r;
      sums.pattern_top = max(sums.pattern_top, abs(da$r));
      sums.scores_top = max(sums.scores_top, abs(ds$r));
//! end
    }
    sums.pairs += tile.pairs;
    sums.pattern += tile.pattern;
    sums.scores += tile.scores;
    pattern_square += tile_pattern_square;
    scores_square += tile_scores_square;
//! if STAGED
    workgroupBarrier();
//! end
  }
  let pairs = max(sums.pairs, 1f);
  sums.pattern_spread = max(pattern_square - sums.pattern * sums.pattern / pairs, 0f);
  sums.scores_spread = max(scores_square - sums.scores * sums.scores / pairs, 0f);
//! if STAGED
  if (first_row < T) { partial[bh * TILES + row_tile] = sums; }
//! else
  partial[bh * TILES + row_tile] = sums;
//! end
}
