// Rotates each pair (a, b) of a row by an angle that depends on its position: (a cos - b sin, a sin + b cos). If BACK, the
// angle is negated. The remaining dimensions are copied. Each invocation rotates one pair or copies one remaining dimension.
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> turns: array<f32>;

//! each i in 0..ROWS * ITEMS
  let row = i / ITEMS;
  let item = i % ITEMS;
//! if ITEMS > PAIRS
  if (item >= PAIRS) {
    let at = row * D + PAIRS + item;
    y[at] = x[at];
    return;
  }
//! end
  let turn = 2u * (row / H % T * PAIRS + item);
  let c = turns[turn];
//! if BACK
  let s = -turns[turn + 1u];
//! else
  let s = turns[turn + 1u];
//! end
//! if INTERLEAVED
  let first = row * D + 2u * item;
  let second = first + 1u;
//! else
  let first = row * D + item;
  let second = first + PAIRS;
//! end
  let a = x[first];
  let b = x[second];
  y[first] = a * c - b * s;
  y[second] = a * s + b * c;
//! end
