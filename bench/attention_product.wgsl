// y[b, r, h, e] = FACTOR sum_c matrix[b, h, r, c] x[b, c, h, e], with the matrix transposed if TRANSPOSED: one result
// per invocation. It computes z, dq, dk and dv of the naive attention.
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> matrix: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

//! each i in 0..B * T * H * D
  let e = i % D;
  let h = i / D % H;
  let r = i / (D * H) % T;
  let b = i / (D * H * T);
  var sum = 0f;
  for (var c = 0u; c < T; c++) {
    let at = select(r * T + c, c * T + r, TRANSPOSED);
    sum += matrix[(b * H + h) * T * T + at] * x[((b * T + c) * H + h) * D + e];
  }
  y[i] = sum * FACTOR;
//! end
