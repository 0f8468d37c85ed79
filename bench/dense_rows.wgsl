// The activation of dense attention over a stored matrix, row by row, and its gradient: one invocation per row, or
// per element where rows do not matter.
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
//! if BACKWARD
@group(0) @binding(2) var<storage, read> g: array<f32>;
//! end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let at = id.y * groups.x * 64u + id.x;
//! if SOFTMAX
  if (at >= ROWS) { return; }
  let first = at * T;
  let limit = select(T, at % T + 1u, CAUSAL);
//! if BACKWARD
  var mean = 0f;
  for (var j = 0u; j < limit; j++) { mean += x[first + j] * g[first + j]; }
  for (var j = 0u; j < limit; j++) { y[first + j] = x[first + j] * (g[first + j] - mean); }
//! else
  var top = -1e30f;
  for (var j = 0u; j < limit; j++) { top = max(top, x[first + j]); }
  var sum = 0f;
  for (var j = 0u; j < limit; j++) {
    let e = exp(x[first + j] - top);
    y[first + j] = e;
    sum += e;
  }
  for (var j = 0u; j < limit; j++) { y[first + j] /= sum; }
//! end
  for (var j = limit; j < T; j++) { y[first + j] = 0f; }
//! else
  if (at >= ROWS * T) { return; }
  let seen = !CAUSAL || at % T <= (at / T) % T;
//! if BACKWARD
  y[at] = select(0f, x[at] * (1f - x[at]) * g[at], seen);
//! else
  y[at] = select(0f, 1f / (1f + exp(-(x[at] + BIAS))), seen);
//! end
//! end
}
