// Functions that the attention kernels share: row indices, the visible keys of a query, and the score modifier.
// q [B, T, H, D], k [B, S, HKV, D], v [B, S, HKV, DV]. A query's position among the keys is i + QUERY_OFFSET - KEY_OFFSET.

const MASKED = -1e30f;
/** The bits of infinity. A pair with the score -infinity is not visible. */
const INFINITY = 0x7f800000u;
/** Weights below this value are replaced by it before their logarithm is computed. */
const TINY = 1e-37f;

fn query_row(batch: u32, i: u32, head: u32) -> u32 { return (batch * T + min(i, T - 1u)) * H + head; }
fn key_row(batch: u32, j: u32, kv_head: u32) -> u32 { return (batch * S + min(j, S - 1u)) * HKV + kv_head; }
/** Returns the key head that a query head reads. `head_of` returns the member-th query head that reads a key head. */
fn kv_of(head: u32) -> u32 {
  return
//! insert KEY_HEAD
  ;
}
fn head_of(kv_head: u32, member: u32) -> u32 {
  return
//! insert HEAD
  ;
}
/** Returns the exclusive end of the range of keys that query i can see; `key_start` returns the start of this range. */
fn key_limit(i: u32) -> u32 {
  let row = min(i, T - 1u) + QUERY_OFFSET;
//! if CAUSAL
  return min(max(row + 1u, KEY_OFFSET) - KEY_OFFSET, S);
//! else
//! if SYMMETRIC
  return min(max(row + WINDOW, KEY_OFFSET) - KEY_OFFSET, S);
//! else
  return S;
//! end
//! end
}
fn key_start(i: u32) -> u32 {
//! if WINDOW
  return max(min(i, T - 1u) + QUERY_OFFSET + 1u, KEY_OFFSET + WINDOW) - KEY_OFFSET - WINDOW;
//! else
  return 0u;
//! end
}
/** Returns the start of the range of queries that can see key j; `query_limit` returns the exclusive end of this range. */
fn query_start(j: u32) -> u32 {
//! if CAUSAL
  return max(j + KEY_OFFSET, QUERY_OFFSET) - QUERY_OFFSET;
//! else
//! if SYMMETRIC
  return max(j + KEY_OFFSET + 1u, QUERY_OFFSET + WINDOW) - QUERY_OFFSET - WINDOW;
//! else
  return 0u;
//! end
//! end
}
fn query_limit(j: u32) -> u32 {
//! if WINDOW
  return min(max(min(j, S - 1u) + KEY_OFFSET + WINDOW, QUERY_OFFSET) - QUERY_OFFSET, T);
//! else
  return T;
//! end
}

//! if HAS_MASK
fn mask_of(b: f32, h: f32, i: f32, j: f32) -> bool {
  return
//! insert MASK
  ;
}
//! end

/**
 * True if a pair is visible. `state` is the entry of the block mask for the tile of this pair: 1 if the mask must be evaluated, 2
 * if all pairs of the tile are visible. (Tiles with the entry 0 are empty and skipped.)
 */
fn visible(state: u32, batch: u32, head: u32, i: u32, j: u32) -> bool {
  var seen = i < T && j >= key_start(i) && j < key_limit(i);
//! if HAS_MASK
  if (state == 1u) { seen = seen && mask_of(f32(batch), f32(head), f32(i), f32(j)); }
//! end
  return seen;
}

fn modified(score: f32, b: f32, h: f32, i: f32, j: f32) -> f32 {
  return
//! insert SCORE
  ;
}
fn modifier_derivative(score: f32, b: f32, h: f32, i: f32, j: f32) -> f32 {
  return
//! insert MODIFIER_DERIVATIVE
  ;
}
//! insert WEIGHT

//! if BLOCKS
fn block_state(batch: u32, head: u32, query_block: u32, key_block: u32) -> u32 {
  let b = min(batch, BLOCK_B - 1u);
  let h = min(head, BLOCK_H - 1u);
  return blocks[((b * BLOCK_H + h) * QUERY_BLOCKS + min(query_block, QUERY_BLOCKS - 1u)) * KEY_BLOCKS + key_block];
}
//! else
fn block_state(batch: u32, head: u32, query_block: u32, key_block: u32) -> u32 { return 1u; }
//! end

//! if DROPOUT
fn dropout_scale(bh: u32, i: u32, j: u32) -> f32 {
  let at = i * S + j;
  let bits = threefry(vec2u(seed[0], SITE), vec2u(bh * ((T * S + 1u) / 2u) + at / 2u, seed[1]));
  return select(0f, KEEP_SCALE, select(bits.x, bits.y, at % 2u == 1u) >= DROP_BELOW);
}
//! end
