// One step of Lion over flat storage, in place, an element an invocation.
@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> exp_avg: array<f32>;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> lr: array<f32>;
//! if CLIPPED
@group(0) @binding(4) var<storage, read> squared_norm: array<f32>;
//! end
//! if UPDATED
@group(0) @binding(5) var<storage, read_write> update: array<f32>;
//! end
//! if FREEZES
@group(0) @binding(6) var<storage, read> trained: array<f32>;
//! end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;
  if (i >= SIZE) { return; }
//! if FREEZES
  if (trained[i] == 0f) {
//! if UPDATED
    update[i] = 0f;
//! end
    return;
  }
//! end
  var g = gradient[i];
//! if CLIPPED
  g *= min(1f, CLIP / (sqrt(squared_norm[0]) + 1e-6f));
//! end
  let before = parameter[i];
  let m = exp_avg[i];
  let direction = sign(BETA1 * m + ONE_MINUS_BETA1 * g);
  exp_avg[i] = BETA2 * m + ONE_MINUS_BETA2 * g;
  let decay = select(1f, 1f - lr[0] * WEIGHT_DECAY, i < DECAYED);
  let after = before * decay - lr[0] * direction;
  parameter[i] = after;
//! if UPDATED
  update[i] = after - before;
//! end
}
