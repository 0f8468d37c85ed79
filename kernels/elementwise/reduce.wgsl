// Column sums of x [ROWS, COLUMNS] in CHUNKS pieces of rows: partial[chunk, column], each in the order of its rows.
// A second dispatch with one chunk sums the pieces: a fixed tree, the same sum every time.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

//! each i in 0..COLUMNS * CHUNKS
  let column = i % COLUMNS;
  let first = (i / COLUMNS) * CHUNK_ROWS;
  var sum = 0f;
  // Kahan's compensation is not worth its chain here: the chunks keep each sum short.
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    let value = x[row * COLUMNS + column];
    sum += select(value, value * value, SQUARE);
  }
  partial[i] = sum;
//! end
