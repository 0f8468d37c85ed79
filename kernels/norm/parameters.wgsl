// dweight = sum over rows of dy n, dbias = sum over rows of dy, with n = (x - mean) rstd. This kernel computes partial sums
// over CHUNKS chunks of rows, dweight[chunk, :] and dbias[chunk, :]; a second dispatch (sum.wgsl) adds them.
@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read> dy: array<Item>;
@group(0) @binding(2) var<storage, read> rstds: array<f32>;
//! if CENTERED
@group(0) @binding(3) var<storage, read> means: array<f32>;
//! end
@group(0) @binding(4) var<storage, read_write> dweight: array<Item>;
//! if BIAS
@group(0) @binding(5) var<storage, read_write> dbias: array<Item>;
//! end

//! each i in 0..WIDTH * CHUNKS
  let column = i % WIDTH;
  let first = (i / WIDTH) * CHUNK_ROWS;
  var along = Item(0f);
  var sum = Item(0f);
  for (var row = first; row < min(first + CHUNK_ROWS, ROWS); row++) {
    let d = dy[row * WIDTH + column];
//! if CENTERED
    along += d * ((x[row * WIDTH + column] - means[row]) * rstds[row]);
//! else
    along += d * (x[row * WIDTH + column] * rstds[row]);
//! end
    sum += d;
  }
  dweight[i] = along;
//! if BIAS
  dbias[i] = sum;
//! end
//! end
