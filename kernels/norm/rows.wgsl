// What both row kernels stand on: rows of WIDTH items, a workgroup a row (LANES 64) or an invocation a row (LANES 1).
//! if WIDTH < D
fn total(v: Item) -> f32 { return (v.x + v.y) + (v.z + v.w); }
//! else
fn total(v: Item) -> f32 { return v; }
//! end

alias Part = vec2f;
fn both(a: vec2f, b: vec2f) -> vec2f { return a + b; }
//! insert OVER_LANES
