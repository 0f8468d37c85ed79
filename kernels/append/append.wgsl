// y[b, s, :] = x[b, s, :] for s < S, else rows[s - S, :]: the same rows are appended to every sample.
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<f32>;

//! each i in 0..B * (HELD + ADDED)
  let sample = i / (HELD + ADDED);
  let at = i % (HELD + ADDED);
  if (at < HELD) {
    y[i] = x[sample * HELD + at];
  } else {
    y[i] = rows[at - HELD];
  }
//! end
