// to[offset + i] = from[i]; with SLOTTED the offset is a row number that comes from the host.
@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> target_: array<f32>;
//! if SLOTTED
@group(0) @binding(2) var<storage, read> slot: array<u32>;
//! end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * WORKGROUP + id.x;
  if (i >= LENGTH) { return; }
//! if SLOTTED
  target_[slot[0] * LENGTH + i] = source[i];
//! else
  target_[OFFSET + i] = source[i];
//! end
}
