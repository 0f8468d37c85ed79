// y = x SCALE if the element's 32 random bits are at least THRESHOLD, else 0. Two neighbouring elements share one draw of
// 64 bits.
//! insert THREEFRY
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> seed: array<u32>;

//! each pair in 0..(SIZE + 1u) / 2u
  let i = 2u * pair;
  let bits = threefry(vec2u(seed[0], SITE), vec2u(pair, seed[1]));
  y[i] = select(0f, x[i] * SCALE, bits.x >= THRESHOLD);
  if (i + 1u < SIZE) { y[i + 1u] = select(0f, x[i + 1u] * SCALE, bits.y >= THRESHOLD); }
//! end
