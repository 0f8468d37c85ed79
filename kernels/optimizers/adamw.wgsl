// The STEP of flat_update.wgsl for AdamW, or for Adam if COUPLED. hyper holds lr, 1 - beta1^t and sqrt(1 - beta2^t).
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
