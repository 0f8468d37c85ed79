// Updates Muon's momentum over flat storage, in place, and computes the direction that is then orthogonalised. Each invocation
// handles one element.
@group(0) @binding(0) var<storage, read_write> momentum: array<f32>;
@group(0) @binding(1) var<storage, read_write> direction: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> chosen: array<f32>;
//! if CLIPPED
@group(0) @binding(4) var<storage, read> squared_norm: array<f32>;
//! end

//! each i in 0..SIZE
  if (chosen[i] == 0f) {
    direction[i] = 0f;
    return;
  }
  var g = gradient[i];
//! if CLIPPED
  let factor = CLIP / (sqrt(squared_norm[0]) + 1e-6f);
  // If the norm is NaN, all results must be NaN, but min could return 1.
  g *= select(min(1f, factor), factor, (bitcast<u32>(factor) & 0x7fffffffu) > 0x7f800000u);
//! end
  let m = MOMENTUM * momentum[i] + ONE_MINUS_MOMENTUM * g;
  momentum[i] = m;
//! if NESTEROV
  direction[i] = MOMENTUM * m + ONE_MINUS_MOMENTUM * g;
//! else
  direction[i] = m;
//! end
//! end
