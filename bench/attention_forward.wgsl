// The naive pattern: one invocation per row (b, h, i) writes its scores, then its weights, into a T x T matrix.
@group(0) @binding(0) var<storage, read_write> pattern: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;

//! each row in 0..B * H * T
  let b = row / (H * T);
  let h = row / T % H;
  let i = row % T;
  let limit = select(T, i + 1u, CAUSAL);
  var top = -1e30f;
  for (var j = 0u; j < limit; j++) {
    var s = 0f;
    for (var e = 0u; e < D; e++) {
      s += q[((b * T + i) * H + h) * D + e] * k[((b * T + j) * H + h) * D + e];
    }
    s = s * SCALE + BIAS;
    top = max(top, s);
//! if SOFTMAX
    pattern[row * T + j] = s;
//! else
    pattern[row * T + j] = 1f / (1f + exp(-s));
//! end
  }
//! if SOFTMAX
  var sum = 0f;
  for (var j = 0u; j < limit; j++) {
    let weight = exp(pattern[row * T + j] - top);
    pattern[row * T + j] = weight;
    sum += weight;
  }
  for (var j = 0u; j < limit; j++) { pattern[row * T + j] /= sum; }
//! end
  for (var j = limit; j < T; j++) { pattern[row * T + j] = 0f; }
//! end
