// dtable[v, :] += sum of dy[n, :] over the tokens n with id v, in their order: the first of them walks the chain.
//! if VECTORS
alias Item = vec4f;
//! else
alias Item = f32;
//! end
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> next: array<u32>;
@group(0) @binding(2) var<storage, read> first: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<Item>;
@group(0) @binding(4) var<storage, read_write> dtable: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (i >= TOKENS * WIDTH) { return; }
  let token = i / WIDTH;
  let column = i % WIDTH;
  if (first[token] == 0u) { return; }
  var sum = Item(0f);
  var n = token;
  // Eight a round, as in chain.wgsl.
  while (n < TOKENS) {
//! for k in 0..8
    if (n < TOKENS) {
      sum += dy[n * WIDTH + column];
      n = next[n];
    }
//! end
  }
  dtable[min(ids[token], V - 1u) * WIDTH + column] += sum;
}
