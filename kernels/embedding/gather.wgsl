// y[n, :] = table[ids[n], :]. An id past the table reads its last row. For a table in parts (PART), this dispatch has
// rows FIRST to FIRST + ROWS - 1; other dispatches handle the other tokens.
@group(0) @binding(0) var<storage, read> table: array<Item>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Item>;

//! each i in 0..TOKENS * WIDTH
  let row = min(ids[i / WIDTH], V - 1u);
//! if PART
  if (row < FIRST || row >= FIRST + ROWS) { return; }
//! end
  y[i] = table[(row - FIRST) * WIDTH + i % WIDTH];
//! end
