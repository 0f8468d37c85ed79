// z_i = sum_j a_ij v_j: every invocation keeps ROWS queries and their sums in registers and walks the tiles of keys
// with a running maximum and sum where the activation is a softmax. No T x S matrix is stored.
@group(0) @binding(0) var<storage, read_write> z: array<f32>;
@group(0) @binding(1) var<storage, read> q: array<q_item>;
@group(0) @binding(2) var<storage, read> k: array<k_item>;
@group(0) @binding(3) var<storage, read> v: array<v_item>;
//! if HAS_ROW
@group(0) @binding(4) var<storage, read_write> row_term: array<f32>;
//! end
//! insert EXTRAS
//! insert COMMON
//! insert QUERIES
//! for r in 0..ROWS
//! for e in 0..V4
  var z$r_$e = vec4f();
//! end
//! if NORMALISED
  // softmax1 has one more logit, 0, that takes weight and gives nothing.
  var top$r = FIRST_TOP;
  var sum$r = FIRST_SUM;
//! end
//! if DIVIDES
  var count$r = 0f;
//! end
//! end
  for (var first = begin; first < limit; first += TILE) {
//! insert KEY_TILE
    for (var j = first; j < end; j++) {
//! insert SCORES
//! for r in 0..ROWS
//! if MODIFIES
      s$r = modified(s$r, f32(batch), f32(head), f32(i$r), f32(j));
//! end
      let seen$r = visible(state, batch, head, i$r, j);
//! if NORMALISED
      let next$r = select(top$r, max(top$r, s$r), seen$r);
      let shrink$r = exp(top$r - next$r);
      top$r = next$r;
      var a$r = select(0f, exp(s$r - next$r), seen$r);
      sum$r = sum$r * shrink$r + a$r;
//! else
      var a$r = select(0f, activation(s$r), seen$r);
//! if DIVIDES
      count$r += select(0f, 1f, seen$r && bitcast<u32>(-s$r) != INFINITY);
//! end
//! end
//! if DROPOUT
      a$r *= kept(bh, i$r, j);
//! end
//! end
      {
//! if STAGED
        let v_at = (j - first) * V4;
//! else
        let v_at = key_row(batch, j, kv_head) * DV;
//! end
//! for e in 0..V4
        {
//! if STAGED
          let value = tile_v[v_at + $eu];
//! else
          let value = load_v(v_at, $eu);
//! end
//! for r in 0..ROWS
//! if NORMALISED
          z$r_$e = z$r_$e * shrink$r + a$r * value;
//! else
          z$r_$e += a$r * value;
//! end
//! end
        }
//! end
      }
    }
//! if STAGED
    workgroupBarrier();
//! end
  }
//! for r in 0..ROWS
  if (i$r < T) {
    let z_at = row$r * DV;
//! if NORMALISED
    // A row that sees no key gives zeros, and a log-sum-exp that makes every weight of its gradient zero. Any other row's
    // sum is at least 1, or NaN, which stays in both.
    let empty$r = bitcast<u32>(sum$r) == 0u;
    let factor$r = select(1f / sum$r, 0f, empty$r);
    row_term[bh * T + i$r] = select(top$r + log(sum$r), -MASKED, empty$r);
//! else
//! if DIVIDES
    let factor$r = 1f / divisor(max(count$r, 1f));
    row_term[bh * T + i$r] = factor$r;
//! else
    let factor$r = 1f;
//! end
//! end
//! for e in 0..V4
//! for c in 0..4
//! if 4 * $e + $c < DV
    z[z_at + 4u * $eu + $cu] = z$r_$e[$c] * factor$r;
//! end
//! end
//! end
  }
//! end
}
