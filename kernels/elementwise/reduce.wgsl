// Column sums of x [ROWS, COLUMNS] in CHUNKS pieces of rows: partial[chunk, column], each in the order of its rows.
// A second dispatch with one chunk sums the pieces: a fixed tree, the same sum every time.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (i >= COLUMNS * CHUNKS) { return; }
  let column = i % COLUMNS;
  let first = (i / COLUMNS) * CHUNK_ROWS;
  var sum = 0f;
  // Kahan's compensation is not worth its chain here: the chunks keep each sum short.
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    let value = x[row * COLUMNS + column];
    sum += select(value, value * value, SQUARE);
  }
  partial[i] = sum;
}
