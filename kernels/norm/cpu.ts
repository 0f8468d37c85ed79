// LayerNorm and RMSNorm on the host, with their gradients. Sums are accumulated in float64 for every array type.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { NormAttrs, NormBackwardAttrs } from "./sizes.ts";

/** Computes y = (x - mean) rstd weight + bias. Also writes rstd and, for LayerNorm, the mean of every row. */
export function normCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  { attrs }: Call<NormAttrs>,
): void {
  const [x, weight] = inputs;
  const bias = attrs.bias ? inputs[2] : undefined;
  const [y, rstds, means] = outputs as Floats[];
  const size = weight.length;
  for (let row = 0, start = 0; row < rstds.length; row++, start += size) {
    let mean = 0;
    if (attrs.centered) {
      for (let i = 0; i < size; i++) mean += x[start + i];
      mean /= size;
      means[row] = mean;
    }
    let squares = 0;
    for (let i = 0; i < size; i++) {
      const centered = x[start + i] - mean;
      squares += centered * centered;
    }
    const rstd = 1 / Math.sqrt(squares / size + attrs.eps);
    rstds[row] = rstd;
    for (let i = 0; i < size; i++) {
      const normal = (x[start + i] - mean) * rstd * weight[i];
      y[start + i] = bias ? normal + bias[i] : normal;
    }
  }
}

/** dx = rstd (h - mean h - n mean(h n)) + addend, with h = dy weight and n = (x - mean) rstd. */
export function normBackwardCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  { attrs }: Call<NormBackwardAttrs>,
): void {
  const [x, weight, dy, rstds] = inputs;
  const means = attrs.centered ? inputs[4] : undefined;
  const addend = attrs.addend ? inputs[attrs.centered ? 5 : 4] : undefined;
  const dx = outputs[0] as Floats;
  const size = weight.length;
  for (let row = 0, start = 0; row < rstds.length; row++, start += size) {
    const rstd = rstds[row];
    const mean = means ? means[row] : 0;
    let meanGradient = 0;
    let along = 0;
    for (let i = 0; i < size; i++) {
      const h = dy[start + i] * weight[i];
      meanGradient += h;
      along += h * (x[start + i] - mean) * rstd;
    }
    meanGradient = attrs.centered ? meanGradient / size : 0;
    along /= size;
    for (let i = 0; i < size; i++) {
      const gradient = rstd *
        (dy[start + i] * weight[i] - meanGradient - (x[start + i] - mean) * rstd * along);
      dx[start + i] = addend ? gradient + addend[start + i] : gradient;
    }
  }
}

/** dweight = sum over rows of dy (x - mean) rstd; dbias = sum over rows of dy. */
export function normParametersCpu(
  [x, dy, rstds, means]: readonly Values[],
  [dweight, dbias]: readonly Values[],
): void {
  const size = dweight.length;
  const along = new Float64Array(size);
  const sums = new Float64Array(size);
  for (let row = 0, start = 0; row < rstds.length; row++, start += size) {
    const rstd = rstds[row];
    const mean = means ? means[row] : 0;
    for (let i = 0; i < size; i++) {
      const d = dy[start + i];
      along[i] += d * (x[start + i] - mean) * rstd;
      sums[i] += d;
    }
  }
  (dweight as Floats).set(along);
  if (dbias) (dbias as Floats).set(sums);
}
