// cache[b, positions[b, t], :] = rows[b, t, :]; a position past the end is left out.
@group(0) @binding(0) var<storage, read_write> cache: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (i >= B * T * C) { return; }
  let row = i / C;
  let at = positions[row];
  if (at < S) { cache[(row / T * S + at) * C + i % C] = rows[i]; }
}
