// dx = rstd (h - mean h - n mean(h n)) + addend, with h = dy weight and n = (x - mean) rstd. RMSNorm subtracts neither mean
// nor mean h.
@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read> weight: array<Item>;
@group(0) @binding(2) var<storage, read> dy: array<Item>;
@group(0) @binding(3) var<storage, read> rstds: array<f32>;
//! if CENTERED
@group(0) @binding(4) var<storage, read> means: array<f32>;
//! end
//! if ADDEND
@group(0) @binding(5) var<storage, read> addend: array<Item>;
//! end
@group(0) @binding(6) var<storage, read_write> dx: array<Item>;

//! each row in 0..ROWS over LANES
  let start = row * WIDTH;
  let rstd = rstds[row];
//! if CENTERED
  let mean = means[row];
//! else
  let mean = 0f;
//! end
  var sum = Item(0f);
  var along = Item(0f);
  for (var i = lane; i < WIDTH; i += LANES) {
    let h = dy[start + i] * weight[i];
    sum += h;
    along += h * ((x[start + i] - mean) * rstd);
  }
  let sums = over_lanes(vec2f(total(sum), total(along)), lane) / f32(D);
  for (var i = lane; i < WIDTH; i += LANES) {
    var h = dy[start + i] * weight[i];
//! if CENTERED
    h -= sums.x;
//! end
    let gradient = rstd * (h - (x[start + i] - mean) * (rstd * sums.y));
//! if ADDEND
    dx[start + i] = gradient + addend[start + i];
//! else
    dx[start + i] = gradient;
//! end
  }
//! end
