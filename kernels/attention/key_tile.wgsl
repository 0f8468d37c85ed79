// Prepares the tile of keys that starts at `first`: reads the tile's entry of the block mask into `state`, loads the tile into
// workgroup memory if the kernel is TILED, and sets `end`, the exclusive end of the tile.
    let state = block_state(batch, head, first_row / BLOCK, first / BLOCK);
//! if TILED
    for (var x = lane; x < TILE * D4; x += LANES) {
      tile_k[x] = load_k(key_row(batch, first + x / D4, kv_head) * D, x % D4);
    }
//! if READS_V
    for (var x = lane; x < TILE * V4; x += LANES) {
      tile_v[x] = load_v(key_row(batch, first + x / V4, kv_head) * DV, x % V4);
    }
//! end
    workgroupBarrier();
//! end
    let end = select(min(first + TILE, limit), first, state == 0u);
