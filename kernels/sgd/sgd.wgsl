// One step of stochastic gradient descent with momentum over flat storage, in place, an element an invocation.
@group(0) @binding(0) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(1) var<storage, read_write> momentum: array<f32>;
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
  g += select(0f, WEIGHT_DECAY, i < DECAYED) * before;
  let m = MOMENTUM * momentum[i] + g;
  momentum[i] = m;
//! if NESTEROV
  let after = before - lr[0] * (g + MOMENTUM * m);
//! else
  let after = before - lr[0] * m;
//! end
  parameter[i] = after;
//! if UPDATED
  update[i] = after - before;
//! end
}
