// y[i] = LOW + WIDTH u, where u is the i-th uniform of the host's stream. The 53 bits of u are rounded to float32.
//! insert THREEFRY
@group(0) @binding(0) var<storage, read_write> y: array<f32>;

//! each i in 0..SIZE
  let bits = threefry(vec2u(SEED, PURPOSE), vec2u(i, 0u));
  y[i] = LOW + WIDTH * (f32(bits.x >> 5u) * 0x1p-27f + f32(bits.y >> 6u) * 0x1p-53f);
//! end
