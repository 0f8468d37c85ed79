// Computes the column sums of x [ROWS, COLUMNS] within each of CHUNKS chunks of rows. The rows of a chunk are added in order.
// A second dispatch with one chunk adds the partial sums. The order of additions is fixed, so the result is deterministic.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

//! each i in 0..COLUMNS * CHUNKS
  let column = i % COLUMNS;
  let first = (i / COLUMNS) * CHUNK_ROWS;
  var sum = 0f;
  // Chunks are short enough to be accurate without Kahan summation, whose chain of dependent additions is longer.
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    let value = x[row * COLUMNS + column];
    sum += select(value, value * value, SQUARE);
  }
  partial[i] = sum;
//! end
