// y = act(op(a) op(b) + bias) + addend, for each matrix of a batch; op transposes where TRANS_A, TRANS_B say so.
// Two schedules: TILED keeps a tile of each operand in workgroup memory (a real GPU); else every invocation computes
// TM x TN results in registers straight from storage, which a processor that plays the GPU runs several times faster.
//! insert FUNCTIONS
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
//! if HAS_BIAS
@group(0) @binding(3) var<storage, read> bias: array<f32>;
//! end
//! if HAS_ADDEND
@group(0) @binding(4) var<storage, read> addend: array<f32>;
//! end
//! if SAVES_PRE
@group(0) @binding(5) var<storage, read_write> pre: array<f32>;
//! end

fn a_row(m: u32, batch: u32) -> u32 {
//! if TRANS_A
  return batch * M * K + m;
//! else
  return batch * M * K + m * K;
//! end
}
fn b_column(n: u32, batch: u32) -> u32 {
//! if TRANS_B
  return batch * N * K + n * K;
//! else
  return batch * N * K + n;
//! end
}
//! if TRANS_A
const A_STEP = M;
//! else
const A_STEP = 1u;
//! end
//! if TRANS_B
const B_STEP = 1u;
//! else
const B_STEP = N;
//! end

fn store(batch: u32, m: u32, n: u32, sum: f32) {
  if (m >= M || n >= N) { return; }
  let i = batch * M * N + m * N + n;
  var x = sum;
//! if HAS_BIAS
  x += bias[n];
//! end
//! if SAVES_PRE
  pre[i] = x;
//! end
//! if HAS_ACTIVATION
  x =
//! insert ACTIVATION
  ;
//! end
//! if HAS_ADDEND
  x += addend[i];
//! end
  y[i] = x;
}

//! if TILED
var<workgroup> tile_a: array<f32, 512>;
var<workgroup> tile_b: array<f32, 512>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let batch = group.z;
  let m0 = group.y * 64u;
  let n0 = group.x * 64u;
  let row = (lane / 8u) * 8u;
  let column = (lane % 8u) * 8u;
//! for r in 0..8
  var c$r_0 = vec4f();
  var c$r_1 = vec4f();
//! end
  for (var k0 = 0u; k0 < K; k0 += 8u) {
    // Neighbouring lanes read neighbouring numbers: along k where the operand's rows run along k, else across.
//! for t in 0..8
    {
//! if TRANS_A
      let m = lane;
      let k = $tu;
//! else
      let m = lane / 8u + $tu * 8u;
      let k = lane % 8u;
//! end
      var value = 0f;
      if (m0 + m < M && k0 + k < K) { value = a[a_row(m0 + m, batch) + (k0 + k) * A_STEP]; }
      tile_a[k * 64u + m] = value;
    }
    {
//! if TRANS_B
      let n = lane / 8u + $tu * 8u;
      let k = lane % 8u;
//! else
      let n = lane;
      let k = $tu;
//! end
      var value = 0f;
      if (n0 + n < N && k0 + k < K) { value = b[b_column(n0 + n, batch) + (k0 + k) * B_STEP]; }
      tile_b[k * 64u + n] = value;
    }
//! end
    workgroupBarrier();
//! for k in 0..8
    {
      let b0 = vec4f(tile_b[$k * 64 + column], tile_b[$k * 64 + column + 1], tile_b[$k * 64 + column + 2], tile_b[$k * 64 + column + 3]);
      let b1 = vec4f(tile_b[$k * 64 + column + 4], tile_b[$k * 64 + column + 5], tile_b[$k * 64 + column + 6], tile_b[$k * 64 + column + 7]);
//! for r in 0..8
      let a$r = tile_a[$k * 64 + row + $ru];
      c$r_0 += a$r * b0;
      c$r_1 += a$r * b1;
//! end
    }
//! end
    workgroupBarrier();
  }
//! for r in 0..8
//! for j in 0..4
  store(batch, m0 + row + $ru, n0 + column + $ju, c$r_0[$j]);
  store(batch, m0 + row + $ru, n0 + column + 4u + $ju, c$r_1[$j]);
//! end
//! end
}
//! else
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let tile = id.y * groups.x * 8u + id.x;
  let batch = id.z;
  let m0 = (tile / TILES_N) * TM;
  let n0 = (tile % TILES_N) * TN;
  if (m0 >= M) { return; }
//! for r in 0..TM
  let ia$r = a_row(min(m0 + $ru, M - 1u), batch);
//! for j in 0..TN/4
  var c$r_$j = vec4f();
//! end
//! end
//! for j in 0..TN/4
//! for q in 0..4
  let ib$j_$q = b_column(min(n0 + $ju * 4u + $qu, N - 1u), batch);
//! end
//! end
  for (var k = 0u; k < K; k += UNROLL) {
//! for q in 0..UNROLL
    {
      let ka = (k + $qu) * A_STEP;
      let kb = (k + $qu) * B_STEP;
//! for j in 0..TN/4
      let b$j = vec4f(b[ib$j_0 + kb], b[ib$j_1 + kb], b[ib$j_2 + kb], b[ib$j_3 + kb]);
//! end
//! for r in 0..TM
      let a$r = a[ia$r + ka];
//! for j in 0..TN/4
      c$r_$j += a$r * b$j;
//! end
//! end
    }
//! end
  }
//! for r in 0..TM
//! for j in 0..TN/4
//! for q in 0..4
  store(batch, m0 + $ru, n0 + $ju * 4u + $qu, c$r_$j[$q]);
//! end
//! end
//! end
}
//! end
