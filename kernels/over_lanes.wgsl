// Combines the Parts of all lanes into one by `combine`, in a tree of fixed shape. Every lane of the workgroup gets the result.
//! if LANES > 1
var<workgroup> of_lane: array<Part, LANES>;
fn over_lanes(part: Part, lane: u32) -> Part {
  of_lane[lane] = part;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { of_lane[lane] = combine(of_lane[lane], of_lane[lane + half]); }
    workgroupBarrier();
  }
  let all = of_lane[0];
  // Every lane must have read the result before a second call overwrites it.
  workgroupBarrier();
  return all;
}
//! else
fn over_lanes(part: Part, lane: u32) -> Part { return part; }
//! end
