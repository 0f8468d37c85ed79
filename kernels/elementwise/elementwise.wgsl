// y[i] = f(x0[i], x1[i], ...); an operand of one number or of one row is repeated.
//! insert FUNCTIONS
//! insert BINDINGS
@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  unknown_zero = select(0u, 0xffffffffu, groups.x == 0u);
  let i = id.y * groups.x * 64u + id.x;
  if (i >= SIZE) { return; }
//! insert LOADS
  y[i] =
//! insert EXPRESSION
  ;
}
