// y[n, :] = table[ids[n], :]. An id past the end of the table reads the last row. If the table is split (PART), this dispatch
// handles the tokens with ids from FIRST to FIRST + ROWS - 1, and other dispatches handle the rest.
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
