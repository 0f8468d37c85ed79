// y = (x - mean) rstd weight + bias over rows of D values. Without CENTERED (RMSNorm), the mean is not subtracted.
@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read> weight: array<Item>;
@group(0) @binding(2) var<storage, read_write> y: array<Item>;
//! if BIAS
@group(0) @binding(3) var<storage, read> bias: array<Item>;
//! end
//! if SAVE
@group(0) @binding(4) var<storage, read_write> saved_rstd: array<f32>;
//! end
//! if SAVE * CENTERED
@group(0) @binding(5) var<storage, read_write> saved_mean: array<f32>;
//! end

//! each row in 0..ROWS over LANES
  let start = row * WIDTH;
  var mean = 0f;
//! if CENTERED
  var sum = Item(0f);
  for (var i = lane; i < WIDTH; i += LANES) { sum += x[start + i]; }
  mean = over_lanes(vec2f(total(sum), 0f), lane).x / f32(D);
//! end
  // The variance takes a second pass over the row, because mean(x^2) - mean(x)^2 would lose precision if the variance is small
  // compared with the mean.
  var squares = Item(0f);
  for (var i = lane; i < WIDTH; i += LANES) {
    let centered = x[start + i] - mean;
    squares += centered * centered;
  }
  let rstd = 1f / sqrt(over_lanes(vec2f(total(squares), 0f), lane).x / f32(D) + EPS);
  for (var i = lane; i < WIDTH; i += LANES) {
    let normal = (x[start + i] - mean) * rstd;
//! if BIAS
    y[start + i] = normal * weight[i] + bias[i];
//! else
    y[start + i] = normal * weight[i];
//! end
  }
//! if SAVE
  if (lane == 0u) {
    saved_rstd[row] = rstd;
//! if CENTERED
    saved_mean[row] = mean;
//! end
  }
//! end
//! end
