// What both row kernels stand on: rows of WIDTH items, a workgroup a row (LANES 64) or an invocation a row (LANES 1).
//! if VECTORS
alias Item = vec4f;
fn total(v: Item) -> f32 { return (v.x + v.y) + (v.z + v.w); }
//! else
alias Item = f32;
fn total(v: Item) -> f32 { return v; }
//! end

//! if LANES > 1
var<workgroup> partial: array<vec2f, LANES>;

// Sums over the lanes of a row, by a tree of fixed shape.
fn rowSums(own: vec2f, lane: u32) -> vec2f {
  partial[lane] = own;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { partial[lane] += partial[lane + half]; }
    workgroupBarrier();
  }
  let sums = partial[0];
  workgroupBarrier();
  return sums;
}
//! else
fn rowSums(own: vec2f, lane: u32) -> vec2f { return own; }
//! end
