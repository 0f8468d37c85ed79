// loss = sum of losses / valid (0 without valid rows), correct = sum of hits. One workgroup and a tree (LANES 256), or
// one invocation (LANES 1): runs of 64 rows are summed apart, so that a long sum keeps its digits.
@group(0) @binding(0) var<storage, read> losses: array<f32>;
@group(0) @binding(1) var<storage, read> hits: array<f32>;
@group(0) @binding(2) var<storage, read> valid: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> correct: array<f32>;
//! if LANES > 1
var<workgroup> partial: array<vec2f, LANES>;
//! end

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sums = vec2f(0f);
  for (var first = lane; first < ROWS; first += 64u * LANES) {
    var run = vec2f(0f);
    for (var i = first; i < min(first + 64u * LANES, ROWS); i += LANES) { run += vec2f(losses[i], hits[i]); }
    sums += run;
  }
//! if LANES > 1
  partial[lane] = sums;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { partial[lane] += partial[lane + half]; }
    workgroupBarrier();
  }
  sums = partial[0];
//! end
  if (lane == 0u) {
    loss[0] = sums.x / max(valid[0], 1f);
    correct[0] = sums.y;
  }
}
