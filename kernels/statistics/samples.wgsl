// The partial of one sample, an invocation each: its chunks merged in their order.
@group(0) @binding(0) var<storage, read> partials: array<vec4u>;
// (first row, rows)
@group(0) @binding(1) var<storage, read> table: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> samples: array<vec4u>;

//! each sample in 0..SAMPLES by LANES
  let rows = table[sample];
  var all = EMPTY;
  for (var i = rows.x; i < rows.x + rows.y; i++) {
    all = merge(all, partial_of(partials[2u * i], partials[2u * i + 1u]));
  }
  samples[2u * sample] = first_half(all);
  samples[2u * sample + 1u] = second_half(all);
//! end
