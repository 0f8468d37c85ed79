// The twelve statistics of one part, an invocation each, from those of its samples.
@group(0) @binding(0) var<storage, read> samples: array<vec4u>;
// (first sample, samples, elements of all)
@group(0) @binding(1) var<storage, read> table: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;

// l2 of the elements times 2^-exponent.
fn norm_of(p: Partial) -> f32 {
  let mean = p.mean + p.rest;
  return sqrt(p.m2 + f32(p.finite) * (mean * mean));
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let part = id.y * groups.x * LANES + id.x;
  if (part >= PARTS) { return; }
  let first = table[part].x;
  let end = first + table[part].y;
  let elements = table[part].z;
  var all = EMPTY;
  for (var i = first; i < end; i++) {
    all = merge(all, partial_of(samples[2u * i], samples[2u * i + 1u]));
  }
  let unit = power(all.exponent);
  var norms = 0f;
  var longest = 0f;
  var shortest = 0f;
  for (var i = first; i < end; i++) {
    let sample = partial_of(samples[2u * i], samples[2u * i + 1u]);
    let scaled = norm_of(sample);
    let norm = scaled * power(sample.exponent);
    // Their sum may be beyond float32 where their mean is not.
    norms += scaled * power(sample.exponent - all.exponent);
    longest = max(longest, norm);
    shortest = select(min(shortest, norm), norm, i == first);
  }
  let n = f32(max(all.finite, 1u));
  let mean = all.mean + all.rest;
  // Equal elements have no deviation, and their mean no rounding.
  let equal = all.low == all.high;
  let some = all.finite > 0u;
  let at = STATISTICS * part;
  rows[at] = select(mean * unit, all.low, equal);
  rows[at + 1u] = select(sqrt(all.m2 / n) * unit, 0f, equal);
  rows[at + 2u] = select(0f, all.low, some);
  rows[at + 3u] = select(0f, all.high, some);
  rows[at + 4u] = select(0f, max(-all.low, all.high), some);
  rows[at + 5u] = sqrt(all.m2 / n + mean * mean) * unit;
  rows[at + 6u] = norm_of(all) * unit;
  rows[at + 7u] = f32(all.zeros) / f32(elements);
  rows[at + 8u] = f32(elements - all.finite);
  rows[at + 9u] = norms / f32(end - first) * unit;
  rows[at + 10u] = longest;
  rows[at + 11u] = shortest;
}
