// Performs one step of an optimizer over flat storage, in place. Each invocation handles one element: it clips the gradient by
// its global norm, skips a frozen parameter and optionally stores the update. STEP is the code of the optimizer, which
// computes `after` from `before` and `g` and updates the states. Every invocation recomputes the clipping factor; handling
// several elements per invocation was no faster when measured on a software adapter.
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
  // If the norm is NaN, all results must be NaN, but min could return 1.
  g *= select(min(1f, factor), factor, (bitcast<u32>(factor) & 0x7fffffffu) > 0x7f800000u);
//! end
  let before = parameter[i];
//! insert STEP
  parameter[i] = after;
//! if UPDATED
  update[i] = after - before;
//! end
//! end
