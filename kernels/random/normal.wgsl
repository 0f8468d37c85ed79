// y[i] = MEAN + STD n, where n is the i-th normal of the host's stream, computed by the Box-Muller transform from the draws
// 2 i and 2 i + 1. log and cos are implemented here because errors of up to 1e-4 are allowed in WGSL's built-in functions.
// Every step keeps the relative error small, even if u, 1 - u or the cosine is close to zero, so that all 53 bits of the
// host's uniforms matter.
//! insert THREEFRY
@group(0) @binding(0) var<storage, read_write> y: array<f32>;

// Returns log((1 + s) / (1 - s)) for |s| <= 0.172. The first omitted term of the series is 2e-9 times the sum.
fn twice_atanh(s: f32) -> f32 {
  let z = s * s;
  return 2f * s * (1f + z * (1f / 3f + z * (0.2f + z * (1f / 7f + z * (1f / 9f)))));
}

// Returns -log(1 - u) for u = (high 2^26 + low) / 2^53, where high has 27 bits and low has 26 bits. The result is at most 53
// log 2.
fn negative_log_complement(high: u32, low: u32) -> f32 {
  if (high < 39311462u) { // if u < 1 - sqrt(1/2), the logarithm is computed from u itself
    let u = f32(high) * 0x1p-27f + f32(low) * 0x1p-53f;
    return twice_atanh(u / (2f - u));
  }
  let rest = 134217728u - high;
  // If all bits of high are 1, 1 - u depends only on low. f32(low) could round up to 2^26, so integers are subtracted.
  let v = select(f32(rest) * 0x1p26f - f32(low), f32(67108864u - low), rest == 1u);
  let bits = bitcast<u32>(v);
  // The mantissa is in [sqrt(1/2), sqrt(2)); 0x3f3504f3 is sqrt(1/2).
  let exponent = (bits - 0x3f3504f3u) >> 23u;
  let mantissa = bitcast<f32>(bits - (exponent << 23u));
  return f32(53u - exponent) * 0.6931472f - twice_atanh((mantissa - 1f) / (mantissa + 1f));
}

// Returns cos(2 pi u) for u = (high 2^26 + low) / 2^53. In each octant of the circle, t is the angle to the nearest zero or
// extremum of the cosine.
fn cosine_of_turns(high: u32, low: u32) -> f32 {
  let octant = high >> 24u;
  let part = high & 0xffffffu;
  let fraction = f32(low) * 0x1p-26f;
  let near = select(f32(part) + fraction, f32(16777216u - part) - fraction, (octant & 1u) == 1u);
  let t = near * (0.7853982f * 0x1p-24f);
  let z = t * t;
  let sine = t * (1f + z * (-1f / 6f + z * (1f / 120f + z * (-1f / 5040f + z * (1f / 362880f)))));
  let cosine = 1f + z * (-0.5f + z * (1f / 24f + z * (-1f / 720f + z * (1f / 40320f))));
  let value = select(cosine, sine, ((octant + 1u) & 2u) != 0u);
  return select(value, -value, octant >= 2u && octant < 6u);
}

//! each i in 0..SIZE
  var n = polar(i, 0u);
//! if TRUNCATED
  for (var attempt = 1u; abs(n.x * n.y) > WITHIN && attempt < ATTEMPTS; attempt++) { n = polar(i, attempt); }
//! end
  y[i] = MEAN + STD * n.x * n.y;
//! end

// Returns the radius and the cosine whose product is the i-th normal that an attempt draws.
fn polar(i: u32, attempt: u32) -> vec2f {
  let key = vec2u(SEED, PURPOSE);
  let a = threefry(key, vec2u(2u * i, attempt));
  let b = threefry(key, vec2u(2u * i + 1u, attempt));
  let radius = sqrt(2f * negative_log_complement(a.x >> 5u, a.y >> 6u));
  return vec2f(radius, cosine_of_turns(b.x >> 5u, b.y >> 6u));
}
