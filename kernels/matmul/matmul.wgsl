// y = act(op(a) op(b) + bias) + addend, for each matrix of a batch; op transposes according to TRANS_A and TRANS_B. There are
// two schedules. On a hardware GPU, TILED keeps a tile of each operand in workgroup memory. On a software adapter, every
// invocation computes TM x TN results in registers, directly from storage, which is several times faster there. Loading four
// values takes little longer there than loading one value, so operands whose rows have a multiple of 4 values are read as
// vec4f (VECTOR_A, VECTOR_B, VECTOR_Y). If b is too large for one binding, a dispatch computes only N of the product's
// COLUMNS, starting at column FIRST.
//! insert FUNCTIONS
@group(0) @binding(1) var<storage, read> a: array<ItemA>;
@group(0) @binding(2) var<storage, read> b: array<ItemB>;
@group(0) @binding(0) var<storage, read_write> y: array<Out>;
//! if HAS_BIAS
@group(0) @binding(3) var<storage, read> bias: array<Out>;
//! end
//! if HAS_ADDEND
@group(0) @binding(4) var<storage, read> addend: array<Out>;
//! end
//! if SAVES_PRE
@group(0) @binding(5) var<storage, read_write> pre: array<Out>;
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

//! if HAS_ACTIVATION
fn activation(x: f32) -> f32 {
  return
//! insert ACTIVATION
  ;
}
//! end
/** Completes and stores item i of y, which is in column n. Both indices count items of type Out. */
fn finish(i: u32, n: u32, sum: Out) {
  var x = sum;
//! if HAS_BIAS
  x += bias[n];
//! end
//! if SAVES_PRE
  pre[i] = x;
//! end
//! if HAS_ACTIVATION
//! if VECTOR_Y
  x = vec4f(activation(x[0]), activation(x[1]), activation(x[2]), activation(x[3]));
//! else
  x = activation(x);
//! end
//! end
//! if HAS_ADDEND
  x += addend[i];
//! end
  y[i] = x;
}
/** Stores the four sums of row m, columns n to n + 3. */
fn store(batch: u32, m: u32, n: u32, sums: vec4f) {
  if (m >= M || n >= N) { return; }
  let column = FIRST + n;
  let i = (batch * M + m) * COLUMNS + column;
//! if VECTOR_Y
  finish(i / 4u, column / 4u, sums);
//! else
//! for q in 0..4
  if (n + $qu < N) { finish(i + $qu, column + $qu, sums[$q]); }
//! end
//! end
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
    // Neighbouring lanes read values that are adjacent in storage: values with consecutive k if the rows of the operand run
    // along k, else values with the same k.
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
  store(batch, m0 + row + $ru, n0 + column, c$r_0);
  store(batch, m0 + row + $ru, n0 + column + 4u, c$r_1);
//! end
}
//! else
//! each tile in 0..(M + TM - 1u) / TM * TILES_N by 8
  let batch = id.z;
  let m0 = (tile / TILES_N) * TM;
  let n0 = (tile % TILES_N) * TN;
//! for i in 0..TM/4
//! for s in 0..4
  let ia$i_$s = a_row(min(m0 + $iu * 4u + $su, M - 1u), batch);
//! for j in 0..TN/4
  var c$i_$s_$j = vec4f();
//! end
//! end
//! end
//! for j in 0..TN/4
//! for s in 0..4
  let ib$j_$s = b_column(min(n0 + $ju * 4u + $su, N - 1u), batch);
//! end
//! end
  for (var k = 0u; k < K; k += UNROLL) {
    // a$i_$q holds four rows of a at k + q, and b$q holds four columns of b at k + q. Only a few b$q are live at a time, so
    // that they stay in registers.
//! for i in 0..TM/4
//! if VECTOR_A && !TRANS_A
//! for s in 0..4
    let along_a$i_$s = a[(ia$i_$s + k) / 4u];
//! end
//! end
//! for q in 0..UNROLL
//! if VECTOR_A && TRANS_A
    let a$i_$q = a[(ia$i_0 + (k + $qu) * M) / 4u];
//! else
//! if VECTOR_A
    let a$i_$q = vec4f(along_a$i_0[$q], along_a$i_1[$q], along_a$i_2[$q], along_a$i_3[$q]);
//! else
    let ka$i_$q = (k + $qu) * A_STEP;
    let a$i_$q = vec4f(a[ia$i_0 + ka$i_$q], a[ia$i_1 + ka$i_$q], a[ia$i_2 + ka$i_$q], a[ia$i_3 + ka$i_$q]);
//! end
//! end
//! end
//! end
//! for j in 0..TN/4
    {
//! if VECTOR_B && TRANS_B
//! for s in 0..4
      let along_b$s = b[(ib$j_$s + k) / 4u];
//! end
//! end
//! for q in 0..UNROLL
//! if VECTOR_B && TRANS_B
      let b$q = vec4f(along_b0[$q], along_b1[$q], along_b2[$q], along_b3[$q]);
//! else
//! if VECTOR_B
      let b$q = b[(ib$j_0 + (k + $qu) * N) / 4u];
//! else
      let kb$q = (k + $qu) * B_STEP;
      let b$q = vec4f(b[ib$j_0 + kb$q], b[ib$j_1 + kb$q], b[ib$j_2 + kb$q], b[ib$j_3 + kb$q]);
//! end
//! end
//! end
//! for i in 0..TM/4
//! for s in 0..4
//! for q in 0..UNROLL
      c$i_$s_$j += a$i_$q[$s] * b$q;
//! end
//! end
//! end
    }
//! end
  }
//! for i in 0..TM/4
//! for s in 0..4
//! for j in 0..TN/4
  store(batch, m0 + $iu * 4u + $su, n0 + $ju * 4u, c$i_$s_$j);
//! end
//! end
//! end
//! end
//! end
