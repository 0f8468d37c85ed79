// Chains the tokens of one id in their order: next[n] is the token after n with the id of n (TOKENS: none). Every token
// looks back for the one before it, which no other token finds, so that each entry is written once.
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read_write> next: array<u32>;
@group(0) @binding(2) var<storage, read_write> first: array<u32>;

//! each n in 0..TOKENS
  let own = min(ids[n], V - 1u);
  var before = n;
  var found = false;
  // Eight per iteration: llvmpipe leaves off, silently, after 65,535 iterations of a shader's loops together.
  while (before > 0u && !found) {
//! for k in 0..8
    if (before > 0u && !found) {
      found = min(ids[before - 1u], V - 1u) == own;
      before -= 1u;
    }
//! end
  }
  first[n] = select(1u, 0u, found);
  if (found) { next[before] = n; }
//! end
