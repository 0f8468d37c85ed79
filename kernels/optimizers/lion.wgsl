// The STEP of flat_update.wgsl for Lion. hyper holds lr.
  let m = exp_avg[i];
  let mixed = BETA1 * m + ONE_MINUS_BETA1 * g;
  // The sign of NaN is 0 on some devices.
  let direction = select(sign(mixed), mixed, (bitcast<u32>(mixed) & 0x7fffffffu) > 0x7f800000u);
  exp_avg[i] = BETA2 * m + ONE_MINUS_BETA2 * g;
  let decay = select(1f, 1f - hyper[0] * WEIGHT_DECAY, i < DECAYED);
  let after = before * decay - hyper[0] * direction;
