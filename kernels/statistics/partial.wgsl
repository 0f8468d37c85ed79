// Partial statistics of a set of elements, the function that merges two of them, and the kernel that computes the partial
// statistics of chunks. `mean` and `m2` (the sum of squared distances from the mean) refer to the elements times 2^-exponent, so
// that no square overflows float32; `compensation` is the rounding error of `mean`. The partial of a set without elements is
// EMPTY, the identity of the merge.
struct Partial {
  finite: u32,
  zeros: u32,
  exponent: i32,
  low: f32,
  high: f32,
  mean: f32,
  compensation: f32,
  m2: f32,
}

const LARGEST = 0x1.fffffep+127f;
const EMPTY = Partial(0u, 0u, -126, LARGEST, -LARGEST, 0f, 0f, 0f);

// Returns 2^e for e up to 127, or 0 if 2^e would be subnormal.
fn power(e: i32) -> f32 {
  return select(0f, bitcast<f32>(u32(e + 127) << 23u), e > -127);
}

// Returns x * 2^-e. The result is computed on the bits, because a compiler may factor the power of two out of a sum, which then
// overflows or is rounded. Subnormal inputs and results become zero.
fn scaled(x: vec4f, e: vec4i) -> vec4f {
  let bits = bitcast<vec4u>(x);
  let large = vec4i((bits >> vec4u(23u)) & vec4u(0xffu)) > max(e, vec4i(0));
  return bitcast<vec4f>(select(vec4u(0u), bits - (vec4u(e) << vec4u(23u)), large));
}

// Merges the partials of two sets (Chan, Golub, LeVeque 1979).
fn merge(a: Partial, b: Partial) -> Partial {
  if (a.finite == 0u) { return b; }
  let exponent = max(a.exponent, b.exponent);
  let by_a = exponent - a.exponent;
  let by_b = exponent - b.exponent;
  // Both means and their compensations, times 2^-exponent.
  let both = scaled(vec4f(a.mean, a.compensation, b.mean, b.compensation), vec4i(by_a, by_a, by_b, by_b));
  let finite = a.finite + b.finite;
  let share = f32(b.finite) / f32(finite);
  let delta = (both.z - both.x) + (both.w - both.y);
  let shift = delta * share + both.y;
  // The mean is truncated on the bits, because a compiler may simplify the difference of a float and its rounded value to zero.
  let mean = bitcast<f32>(bitcast<u32>(both.x + shift) & 0xfffff000u);
  let compensation = (both.x - mean) + shift;
  let p = power(-by_a);
  let q = power(-by_b);
  let m2 = p * p * a.m2 + q * q * b.m2 + delta * delta * (share * f32(a.finite));
  return Partial(
    finite, a.zeros + b.zeros, exponent, min(a.low, b.low), max(a.high, b.high), mean, compensation, m2,
  );
}

//! if CHUNKS
// Computes the partial of each chunk, one invocation per chunk. An iteration keeps 64 elements in registers and sums them, and
// then their squared distances from their mean. Everything that differs between tensors is in the table, so that all tensors can
// use the same pipeline.
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
// The row of a chunk is (its index among the chunks that share a range, number of these chunks, first element of the range,
// length of the range).
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> partials: array<Partial>;

fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

// Returns the exponent of the largest power of two that is at most `top`, clamped so that the inverse of that power is a normal
// float.
fn exponent_of(top: f32) -> i32 {
  return clamp(i32(bitcast<u32>(top) >> 23u) - 127, -126, 126);
}

// Kind 0: contiguous chunks; kind 1: chunks of rows.
//! for r in 0..KINDS
/**
 * Returns the partial of UNROLL vec4s at the indices `first`, `first + stride` and so on. In a contiguous chunk these are indices
 * into the tensor, and only the elements from `begin` up to `begin + length` (exclusive) count. In a chunk of rows the indices
 * number the vec4s of the rows that start at element `begin`, and only indices below `length` count.
 */
fn iteration_of_$r(first: u32, stride: u32, begin: u32, length: u32) -> Partial {
  var finite = vec4u(0u);
  var zeros = vec4u(0u);
  var low = vec4f(LARGEST);
  var high = vec4f(-LARGEST);
//! for k in 0..UNROLL
//! if $r
  let at$k = first + $ku * stride;
  let from$k = begin + at$k / FOURS * EVERY;
  let i$k = from$k / 4u + at$k % FOURS;
  let inside$k = (vec4u(4u * i$k - from$k) + vec4u(0u, 1u, 2u, 3u) < vec4u(ROW)) & vec4<bool>(at$k < length);
//! else
  let i$k = first + $ku * stride;
  let inside$k = vec4u(4u * i$k - begin) + vec4u(0u, 1u, 2u, 3u) < vec4u(length);
//! end
  let v$k = x[i$k];
  // The bits are tested, because a compiler may assume that NaN and infinity do not occur.
  let good$k = inside$k & ((v$k & vec4u(0x7f800000u)) < vec4u(0x7f800000u));
  let x$k = bitcast<vec4f>(select(vec4u(0u), v$k, good$k));
  finite += select(vec4u(0u), vec4u(1u), good$k);
  zeros += select(vec4u(0u), vec4u(1u), inside$k & ((v$k << vec4u(1u)) == vec4u(0u)));
  low = min(low, select(vec4f(LARGEST), x$k, good$k));
  high = max(high, select(vec4f(-LARGEST), x$k, good$k));
//! end
  let n = (finite.x + finite.y) + (finite.z + finite.w);
  let least = min(min(low.x, low.y), min(low.z, low.w));
  let most = max(max(high.x, high.y), max(high.z, high.w));
  let exponent = select(-126, exponent_of(max(-least, most)), n > 0u);
  var sum = vec4f(0f);
//! for k in 0..UNROLL
  let y$k = scaled(x$k, vec4i(exponent));
  sum += y$k;
//! end
  let mean = total(sum) / f32(max(n, 1u));
  var squares = vec4f(0f);
  var left = vec4f(0f);
//! for k in 0..UNROLL
  let d$k = select(vec4f(0f), y$k - mean, good$k);
  squares += d$k * d$k;
  left += d$k;
//! end
  // The distances from the exact mean would sum to 0, so their mean is the rounding error of the computed mean.
  let compensation = total(left) / f32(max(n, 1u));
  let m2 = max(0f, total(squares) - compensation * total(left));
  let none = (zeros.x + zeros.y) + (zeros.z + zeros.w);
  return Partial(n, none, exponent, least, most, mean, compensation, m2);
}

fn partial_of_$r(row: vec4u) -> Partial {
//! if $r
  let first = 0u;
  let last = row.w / ROW * FOURS;
//! else
  let first = row.z / 4u;
  let last = (row.z + row.w + 3u) / 4u;
//! end
//! if SPREAD
  let start = first + row.x;
  let end = last;
  let stride = row.y;
//! else
  let share = (last - first + row.y - 1u) / row.y;
  let start = first + row.x * share;
  let end = min(start + share, last);
  let stride = 1u;
//! end
//! if $r
  let begin = row.z;
  let length = end;
//! else
  // Some elements of the first and the last vec4 may belong to another range.
  let begin = max(row.z, 4u * start);
  let length = min(row.z + row.w, 4u * end) - begin;
//! end
  var all = EMPTY;
  for (var i = start; i < end; i += UNROLL * stride) { all = merge(all, iteration_of_$r(i, stride, begin, length)); }
  return all;
}
//! end

//! each chunk in 0..arrayLength(&chunks) by LANES
  let row = chunks[chunk];
  var all: Partial;
//! if KINDS > 1
  if (chunk < CONTIGUOUS) { all = partial_of_0(row); } else { all = partial_of_1(row); }
//! else
  all = partial_of_0(row);
//! end
  partials[chunk] = all;
//! end
//! end
