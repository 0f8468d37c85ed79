// Rotary positions on the host: the table of their turns, and the rotation.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { RopeAttrs } from "./op.ts";

/** cos and sin of (offset + t) base^(-2i/R) for t < length and i < R/2, side by side: [length, R/2, 2], in float64. */
export function turns(length: number, rotaryDim: number, base: number, offset: number): Float64Array {
  const table = new Float64Array(length * rotaryDim);
  for (let i = 0; i < rotaryDim; i += 2) {
    const speed = base ** (-i / rotaryDim);
    for (let t = 0; t < length; t++) {
      table[t * rotaryDim + i] = Math.cos((offset + t) * speed);
      table[t * rotaryDim + i + 1] = Math.sin((offset + t) * speed);
    }
  }
  return table;
}

/** (a, b) becomes (a cos - b sin, a sin + b cos) in every pair; backwards with -sin. */
export function ropeCpu(
  [x, table]: readonly Values[],
  outputs: readonly Values[],
  { inputs, attrs }: Call<RopeAttrs>,
): void {
  const y = outputs[0] as Floats;
  const [B, T, H, D] = inputs[0].shape;
  const { rotaryDim: R, interleaved, back } = attrs;
  const [step, apart] = interleaved ? [2, 1] : [1, R / 2];
  const sign = back ? -1 : 1;
  y.set(x as Floats);
  for (let row = 0; row < B * T * H; row++) {
    const turn = Math.floor(row / H) % T * R;
    for (let i = 0; i < R / 2; i++) {
      const at = row * D + i * step;
      const [c, s] = [table[turn + 2 * i], sign * table[turn + 2 * i + 1]];
      y[at] = x[at] * c - x[at + apart] * s;
      y[at + apart] = x[at] * s + x[at + apart] * c;
    }
  }
}
