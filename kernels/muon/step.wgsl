// One step along a direction over flat storage, in place, an element an invocation.
@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read> direction: array<f32>;
@group(0) @binding(2) var<storage, read> lr: array<f32>;
@group(0) @binding(3) var<storage, read> chosen: array<f32>;
//! if UPDATED
@group(0) @binding(4) var<storage, read_write> update: array<f32>;
//! end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (i >= SIZE) { return; }
  if (chosen[i] == 0f) {
//! if UPDATED
    update[i] = 0f;
//! end
    return;
  }
  let before = parameter[i];
  let after = before * (1f - lr[0] * WEIGHT_DECAY) - lr[0] * direction[i];
  parameter[i] = after;
//! if UPDATED
  update[i] = after - before;
//! end
}
