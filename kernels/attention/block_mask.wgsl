// Computes the block mask of a mask that depends on data. The entry of a tile of BLOCK x BLOCK pairs is 0 if no pair is
// visible, 2 if all pairs are visible, else 1.
@group(0) @binding(0) var<storage, read_write> blocks: array<u32>;
//! insert EXTRAS

fn mask_of(b: f32, h: f32, i: f32, j: f32) -> bool {
  return
//! insert MASK
  ;
}

//! each at in 0..BLOCK_B * BLOCK_H * QUERY_BLOCKS * KEY_BLOCKS by 8
  unknown_zero = select(0u, 0xffffffffu, groups.x == 0u);
  let j0 = (at % KEY_BLOCKS) * BLOCK;
  let i0 = ((at / KEY_BLOCKS) % QUERY_BLOCKS) * BLOCK;
  let bh = at / (KEY_BLOCKS * QUERY_BLOCKS);
  var some = false;
  var every = true;
  for (var i = i0; i < min(i0 + BLOCK, T); i++) {
    for (var j = j0; j < min(j0 + BLOCK, S); j++) {
      let seen = mask_of(f32(bh / BLOCK_H), f32(bh % BLOCK_H), f32(i), f32(j));
      some = some || seen;
      every = every && seen;
    }
  }
  blocks[at] = select(0u, select(1u, 2u, every), some);
//! end
