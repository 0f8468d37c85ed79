// valid[0] = the number of targets below V. The kernel runs as one workgroup (LANES = 256), which adds the counts of its lanes
// in a tree, or as one invocation (LANES = 1).
@group(0) @binding(0) var<storage, read> targets: array<u32>;
@group(0) @binding(1) var<storage, read_write> valid: array<f32>;
alias Part = u32;
fn combine(a: u32, b: u32) -> u32 { return a + b; }
//! insert OVER_LANES

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var count = 0u;
  for (var i = lane; i < ROWS; i += LANES) { count += select(0u, 1u, targets[i] < V); }
  count = over_lanes(count, lane);
  if (lane == 0u) { valid[0] = f32(count); }
}
