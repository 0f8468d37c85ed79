// One Part out of all lanes' own, merged in pairs by `both` in a tree of fixed shape; every lane of the workgroup gets it.
//! if LANES > 1
var<workgroup> of_lane: array<Part, LANES>;
fn over_lanes(own: Part, lane: u32) -> Part {
  of_lane[lane] = own;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { of_lane[lane] = both(of_lane[lane], of_lane[lane + half]); }
    workgroupBarrier();
  }
  let all = of_lane[0];
  // Before a second tree begins.
  workgroupBarrier();
  return all;
}
//! else
fn over_lanes(own: Part, lane: u32) -> Part { return own; }
//! end
