// The STEP of flat_update.wgsl for Muon: it updates the parameters along a direction, which is passed as the gradient g. hyper
// holds lr.
  let after = before * (1f - hyper[0] * WEIGHT_DECAY) - hyper[0] * g;
