// This fragment begins the function `main` of the attention kernels. Each invocation computes ROWS rows (queries, or keys in
// key_gradient.wgsl) of one sample and head. It loops over the range of keys (or queries) that any row from `low` to `high` can
// see. The rows from `low` to `high` are the invocation's own rows, or all rows of its workgroup if the workgroup shares tiles.
@compute @workgroup_size(LANES)
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  unknown_zero = select(0u, 0xffffffffu, groups.x == 0u);
//! if TILED
  let bh = group.y;
  let row_tile = group.x * LANES + lane;
  let first_row = row_tile * ROWS;
  let low = group.x * LANES * ROWS;
  let high = (group.x + 1u) * LANES * ROWS - 1u;
//! else
  let flat = id.y * groups.x * LANES + id.x;
  let bh = flat / TILES;
  let row_tile = flat % TILES;
  let first_row = row_tile * ROWS;
  if (bh >= HEADS) { return; }
  let low = first_row;
  let high = first_row + ROWS - 1u;
//! end
