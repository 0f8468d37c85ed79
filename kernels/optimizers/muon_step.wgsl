// Muon's step along a direction, which is passed as the gradient g: the STEP of flat_update.wgsl. hyper holds lr.
  let after = before * (1f - hyper[0] * WEIGHT_DECAY) - hyper[0] * g;
