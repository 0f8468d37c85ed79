// The proposed attention, causal, against float64:
//   python3 bench/isa/proto/check_attention.py FOLDER && deno run -A bench/isa/proto/check_attention.ts FOLDER
import { openDevice, randomFloats, report, runKernel, worstError } from "./gpu_run.ts";

const [B, T, H] = [2, 100, 2];
const folder = Deno.args[0];
const device = await openDevice();

interface Row {
  /** Where the query's vector begins; its keys' begin at `keyAt`. */
  readonly at: number;
  readonly keyAt: (j: number) => number;
  /** Weights of keys 0 ... i, and their gradients. */
  readonly weights: readonly number[];
  readonly slopes: readonly number[];
  readonly lse: number;
  readonly delta: number;
}

/** One query's row of the definition. */
function rowOf(row: number, D: number, softmax: boolean, [q, k, v, dz]: readonly Float32Array[]): Row {
  const [i, h, b] = [row % T, Math.floor(row / T) % H, Math.floor(row / T / H)];
  const keyAt = (j: number) => ((b * T + j) * H + h) * D;
  const at = keyAt(i);
  const dots = (x: Float32Array, y: Float32Array) =>
    Array.from({ length: i + 1 }, (_, j) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += x[at + d] * y[keyAt(j) + d];
      return sum;
    });
  const scores = dots(q, k).map((score) => score / Math.sqrt(D));
  const top = Math.max(...scores);
  const lse = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
  const weights = scores.map((score) => softmax ? Math.exp(score - lse) : 1 / (1 + Math.exp(-score)));
  const grads = dots(dz, v);
  const delta = weights.reduce((sum, weight, j) => sum + weight * grads[j], 0);
  const slopes = weights.map((w, j) =>
    (softmax ? w * (grads[j] - delta) : w * (1 - w) * grads[j]) / Math.sqrt(D)
  );
  return { at, keyAt, weights, slopes, lse, delta };
}

function reference(D: number, softmax: boolean, inputs: readonly Float32Array[]) {
  const [q, k, v, dz] = inputs;
  const [z, dq, dk, dv] = Array.from({ length: 4 }, () => new Float64Array(B * T * H * D));
  const [lse, delta] = [new Float32Array(B * H * T), new Float32Array(B * H * T)];
  for (let row = 0; row < B * H * T; row++) {
    const { at, keyAt, weights, slopes, ...own } = rowOf(row, D, softmax, inputs);
    lse[row] = own.lse;
    delta[row] = own.delta;
    weights.forEach((weight, j) => {
      for (let d = 0; d < D; d++) {
        z[at + d] += weight * v[keyAt(j) + d];
        dv[keyAt(j) + d] += weight * dz[at + d];
        dq[at + d] += slopes[j] * k[keyAt(j) + d];
        dk[keyAt(j) + d] += slopes[j] * q[at + d];
      }
    });
  }
  return { z, dq, dk, dv, lse, delta };
}

for (const D of [32, 64, 128, 256]) {
  for (const softmax of [true, false]) {
    const n = B * T * H * D;
    const inputs = [1, 2, 3, 4].map((seed) => randomFloats(n, seed));
    const right = reference(D, softmax, inputs);
    const stem = `${softmax ? "soft" : "sigm"}_${String(D).padStart(3, "0")}`;
    const run = (kind: string, bindings: (Float32Array | number)[]) =>
      runKernel(device, `${folder}/${stem}_${kind}.wgsl`, bindings, [Math.ceil(T / 64), B * H, 1]);
    const rows = softmax ? [right.lse, right.delta] : [];
    const [z, lse] = await run("forward", [...inputs.slice(0, 3), n, ...(softmax ? [B * H * T] : [])]);
    const [dq] = await run("query", [...inputs, ...rows, n]);
    const [dk, dv] = await run("key", [...inputs, ...rows, n, n]);
    for (const [name, values] of Object.entries({ z, dq, dk, dv, ...(lse && { lse }) })) {
      report(`${stem} ${name}`, worstError(values, right[name as keyof typeof right]));
    }
  }
}
Deno.exit();
