// Writes initial values: the gradient of the table becomes zero or the addend, and next[n] becomes TOKENS, which means that
// token n has no successor yet.
@group(0) @binding(0) var<storage, read_write> dtable: array<Item>;
@group(0) @binding(1) var<storage, read_write> next: array<u32>;
//! if ADDEND
@group(0) @binding(2) var<storage, read> addend: array<Item>;
//! end

//! each i in 0..max(TOKENS, V * WIDTH)
  if (i < TOKENS) { next[i] = TOKENS; }
  if (i >= V * WIDTH) { return; }
//! if ADDEND
  dtable[i] = addend[i];
//! else
  dtable[i] = Item(0f);
//! end
//! end
