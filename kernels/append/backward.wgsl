// Computes the gradients of `append` from dy [B, S + E, C]. If ROWS, drows[e, :] = sum of dy[b, S + e, :] over the samples b,
// in order; else dx[b, s, :] = dy[b, s, :].
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;

//! each i in 0..SIZE
//! if ROWS
  var sum = 0f;
  for (var sample = 0u; sample < B; sample++) { sum += dy[sample * (HELD + ADDED) + HELD + i]; }
  out[i] = sum;
//! else
  out[i] = dy[i / HELD * (HELD + ADDED) + i % HELD];
//! end
//! end
