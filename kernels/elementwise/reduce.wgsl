// Column sums of x [ROWS, COLUMNS] in CHUNKS chunks of rows: partial[chunk, column], each in row order.
// A second dispatch with one chunk adds the partial sums: a fixed tree, so the sum is deterministic.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

//! each i in 0..COLUMNS * CHUNKS
  let column = i % COLUMNS;
  let first = (i / COLUMNS) * CHUNK_ROWS;
  var sum = 0f;
  // Short chunks make Kahan summation, a longer chain of additions, unnecessary.
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    let value = x[row * COLUMNS + column];
    sum += select(value, value * value, SQUARE);
  }
  partial[i] = sum;
//! end
