// valid = number of targets below V. LANES 256: one workgroup and a tree; LANES 1: one invocation.
@group(0) @binding(0) var<storage, read> targets: array<u32>;
@group(0) @binding(1) var<storage, read_write> valid: array<f32>;
//! if LANES > 1
var<workgroup> partial: array<u32, LANES>;
//! end

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  var count = 0u;
  for (var i = lane; i < ROWS; i += LANES) { count += select(0u, 1u, targets[i] < V); }
//! if LANES > 1
  partial[lane] = count;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { partial[lane] += partial[lane + half]; }
    workgroupBarrier();
  }
  count = partial[0];
//! end
  if (lane == 0u) { valid[0] = f32(count); }
}
