// A step along a direction, which takes the gradient's place: the STEP of flat_update.wgsl. hyper is lr.
  let after = before * (1f - hyper[0] * WEIGHT_DECAY) - hyper[0] * g;
