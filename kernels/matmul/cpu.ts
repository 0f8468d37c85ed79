// Matrix products on the host.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { ACTIVATIONS } from "../expression/activation.ts";
import { toFunction } from "../expression/expression.ts";
import { type MatmulAttrs, matmulSizes } from "./sizes.ts";

/** Returns a transposed copy of the matrix [rows, columns] that starts at `offset` in x. */
function transposed(x: Floats, offset: number, rows: number, columns: number): Floats {
  const out = new (x.constructor as Float64ArrayConstructor)(rows * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = x[offset + r * columns + c];
  }
  return out;
}

/**
 * Computes y[m, n] = sum_k a[m, k] b[n, k]. Results are computed in blocks of 4 x 4, which need 16 multiplications for every 8
 * values that are read. Sums are computed in float64, in the order of k.
 */
function product(a: Floats, b: Floats, y: Floats, M: number, N: number, K: number): void {
  const fullM = M - M % 4;
  const fullN = N - N % 4;
  for (let m = 0; m < fullM; m += 4) {
    const [a0, a1, a2, a3] = [m * K, (m + 1) * K, (m + 2) * K, (m + 3) * K];
    for (let n = 0; n < fullN; n += 4) {
      const [b0, b1, b2, b3] = [n * K, (n + 1) * K, (n + 2) * K, (n + 3) * K];
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
      for (let k = 0; k < K; k++) {
        const y0 = b[b0 + k], y1 = b[b1 + k], y2 = b[b2 + k], y3 = b[b3 + k];
        const x0 = a[a0 + k], x1 = a[a1 + k], x2 = a[a2 + k], x3 = a[a3 + k];
        s00 += x0 * y0, s01 += x0 * y1, s02 += x0 * y2, s03 += x0 * y3;
        s10 += x1 * y0, s11 += x1 * y1, s12 += x1 * y2, s13 += x1 * y3;
        s20 += x2 * y0, s21 += x2 * y1, s22 += x2 * y2, s23 += x2 * y3;
        s30 += x3 * y0, s31 += x3 * y1, s32 += x3 * y2, s33 += x3 * y3;
      }
      let i = m * N + n;
      y[i] = s00, y[i + 1] = s01, y[i + 2] = s02, y[i + 3] = s03;
      i += N;
      y[i] = s10, y[i + 1] = s11, y[i + 2] = s12, y[i + 3] = s13;
      i += N;
      y[i] = s20, y[i + 1] = s21, y[i + 2] = s22, y[i + 3] = s23;
      i += N;
      y[i] = s30, y[i + 1] = s31, y[i + 2] = s32, y[i + 3] = s33;
    }
  }
  const edge = (m: number, n: number): void => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += a[m * K + k] * b[n * K + k];
    y[m * N + n] = sum;
  };
  for (let m = 0; m < M; m++) for (let n = m < fullM ? fullN : 0; n < N; n++) edge(m, n);
}

/** y = act(op(a) op(b) + bias) + addend. The second output, if needed, is the value before the activation. */
export function matmulCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<MatmulAttrs>,
): void {
  const { transA, transB, bias, addend, activation } = call.attrs;
  const { batch, M, N, K } = matmulSizes(call.inputs, call.attrs);
  const [a, b] = inputs as readonly Floats[];
  const y = outputs[0] as Floats;
  for (let i = 0; i < batch; i++) {
    const rowsA = transA ? transposed(a, i * M * K, K, M) : a.subarray(i * M * K, (i + 1) * M * K);
    const rowsB = transB ? b.subarray(i * N * K, (i + 1) * N * K) : transposed(b, i * N * K, K, N);
    product(rowsA as Floats, rowsB as Floats, y.subarray(i * M * N, (i + 1) * M * N) as Floats, M, N, K);
  }
  if (bias) {
    const row = inputs[2];
    for (let i = 0; i < y.length; i++) y[i] += row[i % N];
  }
  if (activation) {
    if (call.needed[1]) (outputs[1] as Floats).set(y);
    const f = toFunction(ACTIVATIONS[activation], ["x"]);
    for (let i = 0; i < y.length; i++) y[i] = f(y[i]);
  }
  if (addend) {
    const more = inputs.at(-1)!;
    for (let i = 0; i < y.length; i++) y[i] += more[i];
  }
}
