// z_i = sum_j act(scale q_i . k_j) v_j: every invocation keeps ROWS queries and their sums in registers and walks the
// keys, KEYS at a time, with a running maximum and sum where the activation is softmax. No T x S matrix is stored.
@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
//! if SOFTMAX
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;
//! end
//! if DROPOUT
@group(0) @binding(5) var<storage, read> seed: array<u32>;
//! insert THREEFRY
//! end
//! insert COMMON
//! insert LOADS
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
  let limit = key_limit((group.x + 1u) * LANES * ROWS - 1u);
//! else
  let flat = id.y * groups.x * LANES + id.x;
  let bh = flat / TILES;
  let first_row = (flat % TILES) * ROWS;
  if (bh >= BATCH * H) { return; }
  let limit = key_limit(first_row + ROWS - 1u);
//! end
  let batch = bh / H;
  let head = bh % H;
//! for r in 0..ROWS
  let i$r = first_row + $ru;
  let q_at$r = query_row(batch, i$r, head) * D;
//! for e in 0..D4
  let q$r_$e = load_q(q_at$r, $eu) * SCALE;
//! end
//! for e in 0..V4
  var z$r_$e = vec4f();
//! end
//! if SOFTMAX
  var top$r = MASKED;
  var sum$r = 0f;
//! end
//! end
//! if STAGED
  for (var first = 0u; first < limit; first += TILE) {
    for (var x = lane; x < TILE * D4; x += LANES) {
      tile_k[x] = load_k(key_row(batch, first + x / D4, head) * D, x % D4);
    }
    for (var x = lane; x < TILE * V4; x += LANES) {
      tile_v[x] = load_v(key_row(batch, first + x / V4, head) * DV, x % V4);
    }
    workgroupBarrier();
    for (var key0 = first; key0 < min(first + TILE, limit); key0 += KEYS) {
//! else
    for (var key0 = 0u; key0 < limit; key0 += KEYS) {
//! end
//! for c in 0..KEYS
      let j$c = key0 + $cu;
//! for r in 0..ROWS
      var s$r_$c = 0f;
//! end
      {
//! if STAGED
        let k_at = (j$c - first) * D4;
//! else
        let k_at = key_row(batch, j$c, head) * D;
//! end
//! for e in 0..D4
        {
//! if STAGED
          let key = tile_k[k_at + $eu];
//! else
          let key = load_k(k_at, $eu);
//! end
//! for r in 0..ROWS
          s$r_$c += dot(q$r_$e, key);
//! end
        }
//! end
      }
//! end
//! for r in 0..ROWS
//! if SOFTMAX
      var next$r = top$r;
//! for c in 0..KEYS
      if (!visible(i$r, j$c)) { s$r_$c = MASKED; }
      next$r = max(next$r, s$r_$c);
//! end
      let shrink$r = exp(top$r - next$r);
      top$r = next$r;
      sum$r *= shrink$r;
//! for c in 0..KEYS
      var a$r_$c = select(0f, exp(s$r_$c - next$r), s$r_$c > MASKED);
      sum$r += a$r_$c;
//! end
//! for e in 0..V4
      z$r_$e *= shrink$r;
//! end
//! else
//! for c in 0..KEYS
      var a$r_$c = select(0f, 1f / (1f + exp(-clamp(s$r_$c + BIAS, -80f, 80f))), visible(i$r, j$c));
//! end
//! end
//! if DROPOUT
//! for c in 0..KEYS
      a$r_$c *= kept(bh, i$r, j$c);
//! end
//! end
//! end
//! for c in 0..KEYS
      {
//! if STAGED
        let v_at = (j$c - first) * V4;
//! else
        let v_at = key_row(batch, j$c, head) * DV;
//! end
//! for e in 0..V4
        {
//! if STAGED
          let value = tile_v[v_at + $eu];
//! else
          let value = load_v(v_at, $eu);
//! end
//! for r in 0..ROWS
          z$r_$e += a$r_$c * value;
//! end
        }
//! end
      }
//! end
    }
//! if STAGED
    workgroupBarrier();
  }
//! end
//! for r in 0..ROWS
  if (i$r < T) {
    let z_at = query_row(batch, i$r, head) * DV;
//! if SOFTMAX
    // A row that sees no key gives zeros, and a log-sum-exp that makes every weight of its gradient zero.
    let scale$r = select(0f, 1f / max(sum$r, 1e-30f), sum$r > 0f);
    lse[bh * T + i$r] = select(-MASKED, top$r + log(max(sum$r, 1e-30f)), sum$r > 0f);
//! else
    let scale$r = 1f;
//! end
//! for e in 0..V4
//! for c in 0..4
//! if 4 * $e + $c < DV
    z[z_at + 4u * $eu + $cu] = z$r_$e[$c] * scale$r;
//! end
//! end
//! end
  }
//! end
}
