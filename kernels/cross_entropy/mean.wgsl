// loss[0] = sum of losses / valid[0] (0 if no target is valid), and correct[0] = sum of hits. The kernel runs as one workgroup
// (LANES = 256), which adds the sums of its lanes in a tree, or as one invocation (LANES = 1). A lane sums chunks of 64 rows
// separately, so that long sums stay accurate.
@group(0) @binding(0) var<storage, read> losses: array<f32>;
@group(0) @binding(1) var<storage, read> hits: array<f32>;
@group(0) @binding(2) var<storage, read> valid: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> correct: array<f32>;
alias Part = vec2f;
fn combine(a: vec2f, b: vec2f) -> vec2f { return a + b; }
//! insert OVER_LANES

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sums = vec2f(0f);
  for (var first = lane; first < ROWS; first += 64u * LANES) {
    var chunk = vec2f(0f);
    for (var i = first; i < min(first + 64u * LANES, ROWS); i += LANES) { chunk += vec2f(losses[i], hits[i]); }
    sums += chunk;
  }
  sums = over_lanes(sums, lane);
  if (lane == 0u) {
    loss[0] = sums.x / max(valid[0], 1f);
    correct[0] = sums.y;
  }
}
