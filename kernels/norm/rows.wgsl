// Shared by forward.wgsl and backward.wgsl. A row has WIDTH items; one workgroup (LANES = 64) or one invocation (LANES = 1)
// computes it.
//! if WIDTH < D
fn total(v: Item) -> f32 { return (v.x + v.y) + (v.z + v.w); }
//! else
fn total(v: Item) -> f32 { return v; }
//! end

alias Part = vec2f;
fn combine(a: vec2f, b: vec2f) -> vec2f { return a + b; }
//! insert OVER_LANES
