// The STEP of flat_update.wgsl for stochastic gradient descent with momentum. hyper holds lr.
  g += select(0f, WEIGHT_DECAY, i < DECAYED) * before;
  let m = MOMENTUM * momentum[i] + g;
  momentum[i] = m;
//! if NESTEROV
  let after = before - hyper[0] * (g + MOMENTUM * m);
//! else
  let after = before - hyper[0] * m;
//! end
