// The partial of one chunk, an invocation each: its share of a stretch of the tensor, in rounds of 64
// elements that stay in registers: first their sum, then their squared distances from their mean. The table has
// all that differs between tensors, so that one pipeline serves them all.
@group(0) @binding(0) var<storage, read> x: array<vec4u>;
// (its number among those that share a stretch, theirs, the stretch's first element, its length)
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> partials: array<vec4u>;

fn total(v: vec4f) -> f32 { return (v.x + v.y) + (v.z + v.w); }

// 2^exponent is the largest power of two not above `top`, as far as its inverse is in float32 too.
fn exponent_of(top: f32) -> i32 {
  return clamp(i32(bitcast<u32>(top) >> 23u) - 127, -126, 126);
}

// Of contiguous chunks, and of those of rows where there are any.
//! for r in 0..KINDS
/**
 * Fours from `first` on: numbers of fours of the tensor, of which what lies from element `begin` to before
 * `begin + length` counts. Of rows: numbers among the fours of the rows from `begin` on, up to `length`.
 */
fn round_of_$r(first: u32, stride: u32, begin: u32, length: u32) -> Partial {
  var finite = vec4u(0u);
  var zeros = vec4u(0u);
  var low = vec4f(LARGEST);
  var high = vec4f(-LARGEST);
//! for k in 0..ROUND
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
  // By its bits: a compiler may take NaN and infinity for absent.
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
//! for k in 0..ROUND
  let y$k = scaled(x$k, vec4i(exponent));
  sum += y$k;
//! end
  let mean = total(sum) / f32(max(n, 1u));
  var squares = vec4f(0f);
  var left = vec4f(0f);
//! for k in 0..ROUND
  let d$k = select(vec4f(0f), y$k - mean, good$k);
  squares += d$k * d$k;
  left += d$k;
//! end
  // What the distances still sum to is what rounding took from the mean.
  let rest = total(left) / f32(max(n, 1u));
  let m2 = max(0f, total(squares) - rest * total(left));
  let none = (zeros.x + zeros.y) + (zeros.z + zeros.w);
  return Partial(n, none, exponent, least, most, mean, rest, m2);
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
  // Of the first and the last four some elements may be another stretch's.
  let begin = max(row.z, 4u * start);
  let length = min(row.z + row.w, 4u * end) - begin;
//! end
  var all = EMPTY;
  for (var i = start; i < end; i += ROUND * stride) { all = merge(all, round_of_$r(i, stride, begin, length)); }
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
  partials[2u * chunk] = first_half(all);
  partials[2u * chunk + 1u] = second_half(all);
//! end
