// The naive product that heed's is measured against: one result per invocation, y = act(op(a) op(b)) + addend.
//! insert FUNCTIONS
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
//! if HAS_ADDEND
@group(0) @binding(3) var<storage, read> addend: array<f32>;
//! end
//! if SAVES_PRE
@group(0) @binding(4) var<storage, read_write> pre: array<f32>;
//! end

//! each i in 0..M * N
  let m = i / N;
  let n = i % N;
  var x = 0f;
  for (var k = 0u; k < K; k++) {
    x += a[select(m * K + k, k * M + m, TRANS_A)] * b[select(k * N + n, n * K + k, TRANS_B)];
  }
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
//! end
