// Links the tokens that have the same id, in order: next[n] is the first token after n that has the same id as n, or TOKENS if
// there is none. Every token n searches backwards for its predecessor p and sets next[p] = n. No two tokens have the same
// predecessor, so each entry is written at most once.
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read_write> next: array<u32>;
@group(0) @binding(2) var<storage, read_write> first: array<u32>;

//! each n in 0..TOKENS
  let token = min(ids[n], V - 1u);
  var before = n;
  var matched = false;
  // Each iteration handles eight tokens, because llvmpipe silently ends a shader's loops after a total of 65,535 iterations.
  while (before > 0u && !matched) {
//! for k in 0..8
    if (before > 0u && !matched) {
      matched = min(ids[before - 1u], V - 1u) == token;
      before -= 1u;
    }
//! end
  }
  first[n] = select(1u, 0u, matched);
  if (matched) { next[before] = n; }
//! end
