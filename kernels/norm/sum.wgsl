// Adds the CHUNKS partial sums of parameters.wgsl in order. The first D invocations compute dweight, the others dbias.
@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> dweight: array<f32>;
//! if BIAS
@group(0) @binding(2) var<storage, read> biases: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbias: array<f32>;
//! end

//! each i in 0..SIZE
  var sum = 0f;
  if (i < D) {
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { sum += weights[chunk * D + i]; }
    dweight[i] = sum;
  }
//! if BIAS
  if (i >= D) {
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { sum += biases[chunk * D + i - D]; }
    dbias[i - D] = sum;
  }
//! end
//! end
