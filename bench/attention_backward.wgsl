// The naive gradient of the scores: one invocation per row (b, h, i) writes ds into a T x T matrix, from the pattern.
@group(0) @binding(0) var<storage, read_write> ds: array<f32>;
@group(0) @binding(1) var<storage, read> pattern: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> dz: array<f32>;

//! each row in 0..B * H * T
  let b = row / (H * T);
  let h = row / T % H;
  let i = row % T;
  let limit = select(T, i + 1u, CAUSAL);
  var sum = 0f;
  for (var j = 0u; j < limit; j++) {
    var da = 0f;
    for (var e = 0u; e < D; e++) {
      da += dz[((b * T + i) * H + h) * D + e] * v[((b * T + j) * H + h) * D + e];
    }
    let a = pattern[row * T + j];
//! if SOFTMAX
    ds[row * T + j] = da;
    sum += a * da;
//! else
    ds[row * T + j] = a * (1f - a) * da;
//! end
  }
//! if SOFTMAX
  for (var j = 0u; j < limit; j++) { ds[row * T + j] = pattern[row * T + j] * (ds[row * T + j] - sum); }
//! end
  for (var j = limit; j < T; j++) { ds[row * T + j] = 0f; }
//! end
