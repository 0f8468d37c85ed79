// One step of an optimizer over flat storage, in place, one element per invocation: clips the gradient by the global norm,
// skips frozen parameters, optionally stores the update. STEP is the optimizer: it computes `after` from `before` and `g`,
// and updates the states. Every invocation computes the same clipping factor again: measured on a software adapter, several
// elements per invocation were no faster.
@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
//! if CLIPPED
@group(0) @binding(3) var<storage, read> squared_norm: array<f32>;
//! end
//! if FREEZES
@group(0) @binding(4) var<storage, read> trainable: array<f32>;
//! end
//! if UPDATED
@group(0) @binding(5) var<storage, read_write> update: array<f32>;
//! end
//! insert STATES

//! each i in 0..SIZE
//! if FREEZES
  if (trainable[i] == 0f) {
//! if UPDATED
    update[i] = 0f;
//! end
    return;
  }
//! end
  var g = gradient[i];
//! if CLIPPED
  let factor = CLIP / (sqrt(squared_norm[0]) + 1e-6f);
  // A NaN norm makes all results NaN; min would drop it.
  g *= select(min(1f, factor), factor, (bitcast<u32>(factor) & 0x7fffffffu) > 0x7f800000u);
//! end
  let before = parameter[i];
//! insert STEP
  parameter[i] = after;
//! if UPDATED
  update[i] = after - before;
//! end
//! end
