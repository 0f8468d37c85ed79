// What the three attention kernels share: where rows lie, which keys a query sees, and the activation.
// q [B, T, H, D], k [B, S, HKV, D], v [B, S, HKV, DV]; query i sees key j where j + LEFT <= i + RIGHT.

const MASKED = -1e30f;

fn query_row(batch: u32, i: u32, head: u32) -> u32 { return (batch * T + min(i, T - 1u)) * H + head; }
fn key_row(batch: u32, j: u32, head: u32) -> u32 { return (batch * S + min(j, S - 1u)) * HKV + head / (H / HKV); }

fn visible(i: u32, j: u32) -> bool {
//! if CAUSAL
  return i < T && j < S && j + LEFT <= i + RIGHT;
//! else
  return i < T && j < S;
//! end
}
/** One past the last key that query i sees. */
fn key_limit(i: u32) -> u32 {
//! if CAUSAL
  let row = min(i, T - 1u) + 1u + RIGHT;
  return min(max(row, LEFT) - LEFT, S);
//! else
  return S;
//! end
}
/** The first query that sees key j. */
fn first_query(j: u32) -> u32 {
//! if CAUSAL
  return max(j + LEFT, RIGHT) - RIGHT;
//! else
  return 0u;
//! end
}
//! if DROPOUT
fn kept(bh: u32, i: u32, j: u32) -> f32 {
  let at = i * S + j;
  let bits = threefry(vec2u(seed[0], SITE), vec2u(bh * ((T * S + 1u) / 2u) + at / 2u, seed[1]));
  return select(0f, KEEP_SCALE, select(bits.x, bits.y, at % 2u == 1u) >= DROP_BELOW);
}
//! end
