// What is known of some elements, and what is known of two such sets together. `mean` and `m2` (the sum of the
// squared distances from it) are of the elements times 2^-exponent, so that no square leaves float32; `rest` is
// what `mean` has no digits for. With no finite element it is EMPTY, which changes nothing it is merged with.
struct Partial {
  finite: u32,
  zeros: u32,
  exponent: i32,
  low: f32,
  high: f32,
  mean: f32,
  rest: f32,
  m2: f32,
}

const LARGEST = 0x1.fffffep+127f;
const EMPTY = Partial(0u, 0u, -126, LARGEST, -LARGEST, 0f, 0f, 0f);

// 2^e for e up to 127; zero below what float32 has.
fn power(e: i32) -> f32 {
  return select(0f, bitcast<f32>(u32(e + 127) << 23u), e > -127);
}

// x 2^-e by its bits: a compiler may take a common factor out of a sum, which then overflows or rounds. Subnormal
// numbers, and what would become one, give zero.
fn scaled(x: vec4f, e: vec4i) -> vec4f {
  let bits = bitcast<vec4u>(x);
  let large = vec4i((bits >> vec4u(23u)) & vec4u(0xffu)) > max(e, vec4i(0));
  return bitcast<vec4f>(select(vec4u(0u), bits - (vec4u(e) << vec4u(23u)), large));
}

// Chan, Golub, LeVeque 1979.
fn merge(a: Partial, b: Partial) -> Partial {
  if (a.finite == 0u) { return b; }
  let exponent = max(a.exponent, b.exponent);
  let by_a = exponent - a.exponent;
  let by_b = exponent - b.exponent;
  // Both means and both rests.
  let both = scaled(vec4f(a.mean, a.rest, b.mean, b.rest), vec4i(by_a, by_a, by_b, by_b));
  let finite = a.finite + b.finite;
  let share = f32(b.finite) / f32(finite);
  let delta = (both.z - both.x) + (both.w - both.y);
  let shift = delta * share + both.y;
  // Cut by its bits: a compiler may take the difference of a float and its rounding for zero.
  let mean = bitcast<f32>(bitcast<u32>(both.x + shift) & 0xfffff000u);
  let rest = (both.x - mean) + shift;
  let p = power(-by_a);
  let q = power(-by_b);
  let m2 = p * p * a.m2 + q * q * b.m2 + delta * delta * (share * f32(a.finite));
  return Partial(
    finite, a.zeros + b.zeros, exponent, min(a.low, b.low), max(a.high, b.high), mean, rest, m2,
  );
}

// Rows hold the bits: a count passes through no float.
fn first_half(p: Partial) -> vec4u {
  return vec4u(p.finite, p.zeros, bitcast<u32>(p.exponent), bitcast<u32>(p.low));
}

fn second_half(p: Partial) -> vec4u {
  return bitcast<vec4u>(vec4f(p.high, p.mean, p.rest, p.m2));
}

fn partial_of(a: vec4u, b: vec4u) -> Partial {
  let f = bitcast<vec4f>(b);
  return Partial(a.x, a.y, bitcast<i32>(a.z), bitcast<f32>(a.w), f.x, f.y, f.z, f.w);
}
