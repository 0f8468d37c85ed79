// Computes the partial of each sample by merging the partials of its chunks in order, one invocation per sample.
@group(0) @binding(0) var<storage, read> partials: array<Partial>;
// The entry of a sample is (index of its first partial, number of partials).
@group(0) @binding(1) var<storage, read> table: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> samples: array<Partial>;

//! each sample in 0..SAMPLES by LANES
  let rows = table[sample];
  var all = EMPTY;
  for (var i = rows.x; i < rows.x + rows.y; i++) {
    all = merge(all, partials[i]);
  }
  samples[sample] = all;
//! end
