// Shared by both row kernels: rows of WIDTH items, one workgroup per row (LANES 64) or one invocation per row (LANES 1).
//! if WIDTH < D
fn total(v: Item) -> f32 { return (v.x + v.y) + (v.z + v.w); }
//! else
fn total(v: Item) -> f32 { return v; }
//! end

alias Part = vec2f;
fn combine(a: vec2f, b: vec2f) -> vec2f { return a + b; }
//! insert OVER_LANES
