// y[b, r, h, e] = FACTOR sum_c matrix[b, h, r, c] x[b, c, h, e], of the matrix transposed where TRANSPOSED says so: one
// result an invocation. It makes z, dq, dk and dv of the naive attention.
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> matrix: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (i >= B * T * H * D) { return; }
  let e = i % D;
  let h = i / D % H;
  let r = i / (D * H) % T;
  let b = i / (D * H * T);
  var sum = 0f;
  for (var c = 0u; c < T; c++) {
    let at = select(r * T + c, c * T + r, TRANSPOSED);
    sum += matrix[(b * H + h) * T * T + at] * x[((b * T + c) * H + h) * D + e];
  }
  y[i] = sum * FACTOR;
}
