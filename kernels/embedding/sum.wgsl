// dtable[v, :] += sum of dy[n, :] over the tokens n with id v, in order. Only the invocations of the first such token compute
// the sum.
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> next: array<u32>;
@group(0) @binding(2) var<storage, read> first: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<Item>;
@group(0) @binding(4) var<storage, read_write> dtable: array<Item>;

//! each i in 0..TOKENS * WIDTH
  let token = i / WIDTH;
  let column = i % WIDTH;
  if (first[token] == 0u) { return; }
  var sum = Item(0f);
  var n = token;
  // Each iteration handles eight tokens, as in chain.wgsl.
  while (n < TOKENS) {
//! for k in 0..8
    if (n < TOKENS) {
      sum += dy[n * WIDTH + column];
      n = next[n];
    }
//! end
  }
  dtable[min(ids[token], V - 1u) * WIDTH + column] += sum;
//! end
