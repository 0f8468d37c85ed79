// Computes the statistics of each part from the partials of its samples, one invocation per part.
@group(0) @binding(0) var<storage, read> samples: array<Partial>;
// The entry of a part is (index of its first sample, number of samples, total number of elements, unused).
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;

// Returns the l2 norm of the elements, times 2^-exponent.
fn norm_of(p: Partial) -> f32 {
  let mean = p.mean + p.compensation;
  return sqrt(p.m2 + f32(p.finite) * (mean * mean));
}

//! each part in 0..PARTS by LANES
  let first = table[part].x;
  let end = first + table[part].y;
  let elements = table[part].z;
  var all = EMPTY;
  for (var i = first; i < end; i++) {
    all = merge(all, samples[i]);
  }
  let unit = power(all.exponent);
  var norms = 0f;
  var longest = 0f;
  var shortest = 0f;
  for (var i = first; i < end; i++) {
    let sample = samples[i];
    let scaled = norm_of(sample);
    let norm = scaled * power(sample.exponent);
    // The norms are scaled by 2^-all.exponent, because their sum may overflow float32 even if their mean does not.
    norms += scaled * power(sample.exponent - all.exponent);
    longest = max(longest, norm);
    shortest = select(min(shortest, norm), norm, i == first);
  }
  let n = f32(max(all.finite, 1u));
  let mean = all.mean + all.compensation;
  // If all elements are equal, the deviation is 0 and the mean is exact.
  let equal = all.low == all.high;
  let some = all.finite > 0u;
  let at = STATISTICS * part;
//! insert COLUMN_LINES
//! end
