// One step of AdamW, or of Adam where COUPLED, over flat storage, in place, an element an invocation. What is the same
// for all elements is computed again by each: measured on a software adapter, several elements an invocation were no
// faster.
@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> exp_avg: array<f32>;
@group(0) @binding(2) var<storage, read_write> exp_avg_sq: array<f32>;
@group(0) @binding(3) var<storage, read> gradient: array<f32>;
@group(0) @binding(4) var<storage, read> hyper: array<f32>;
//! if CLIPPED
@group(0) @binding(5) var<storage, read> squared_norm: array<f32>;
//! end
//! if UPDATED
@group(0) @binding(6) var<storage, read_write> update: array<f32>;
//! end
//! if FREEZES
@group(0) @binding(7) var<storage, read> trained: array<f32>;
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
//! if COUPLED
  g += select(0f, WEIGHT_DECAY, i < DECAYED) * before;
  let decay = 1f;
//! else
  let decay = select(1f, 1f - hyper[0] * WEIGHT_DECAY, i < DECAYED);
//! end
  let m = BETA1 * exp_avg[i] + ONE_MINUS_BETA1 * g;
  let v = BETA2 * exp_avg_sq[i] + ONE_MINUS_BETA2 * g * g;
  exp_avg[i] = m;
  exp_avg_sq[i] = v;
  let after = before * decay - hyper[0] / hyper[1] * m / (sqrt(v) / hyper[2] + EPS);
  parameter[i] = after;
//! if UPDATED
  update[i] = after - before;
//! end
}
