// Computes target_[offset + i] = source[i], where offset is OFFSET, or LENGTH * slot[0] if SLOTTED is set. Copies every
// type as u32, because a copy as f32 may change the bits of integers.
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_: array<u32>;
//! if SLOTTED
@group(0) @binding(2) var<storage, read> slot: array<u32>;
//! end

//! each i in 0..LENGTH by WORKGROUP
//! if SLOTTED
  target_[slot[0] * LENGTH + i] = source[i];
//! else
  target_[OFFSET + i] = source[i];
//! end
//! end
