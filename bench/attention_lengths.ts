// Tiled attention against the dense composition and the naive kernel by length: forward, and forward with backward,
// causal and full, softmax and sigmoid, in one run. Two heads of 32, one sample.
// `deno run -A bench/attention_lengths.ts [longest] [forward|backward]`
import { attention } from "../kernels/attention/op.ts";
import { multiply, sumAll } from "../kernels/elementwise/op.ts";
import { grad } from "../kernels/gradient.ts";
import { UserError } from "../src/base/errors.ts";
import type { Tensor } from "../src/graph/tensor.ts";
import { denseAttention } from "./dense_attention.ts";
import { naiveAttention, naiveAttentionGradient } from "./naive_attention.ts";
import { callRunner, measure, openWebgpu, printColumns, randomState, type Runner } from "./measure.ts";

const [HEADS, D] = [2, 32];
const longest = Number(Deno.args[0] ?? 8192);
const lengths = [256, 512, 1024, 2048, 4096, 8192].filter((T) => T <= longest);
using device = await openWebgpu();

/** A runner, or undefined if the matrix does not fit into a buffer. */
async function runnerOf(name: string, call: () => Tensor[]): Promise<Runner | undefined> {
  try {
    return await callRunner(name, device, call);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

const cell = (ms: number | undefined) => ms === undefined ? "-" : ms.toFixed(ms < 100 ? 1 : 0);
const ratio = (a: number | undefined, b: number | undefined) => a && b ? (a / b).toFixed(2) : "";

const passes = ["forward", "backward"].filter((pass) => !Deno.args[1] || pass === Deno.args[1]);
for (const backward of passes.map((pass) => pass === "backward")) {
  const body: string[][] = [];
  for (const causal of [true, false]) {
    for (const T of lengths) {
      const pass = (z: Tensor, inputs: Tensor[], dz: Tensor) => {
        return backward ? grad(sumAll(multiply(z, dz)), inputs) : [z];
      };
      const runners: (Runner | undefined)[] = [];
      for (const activation of ["softmax", "sigmoid"] as const) {
        const names = ["q", "k", "v", "dz"];
        const tiled = names.map((name) =>
          randomState(device, `${name} ${T}`, { shape: [1, T, HEADS, D], dtype: "f32" })
        );
        const dense = names.map((name) =>
          randomState(device, `dense ${name} ${T}`, { shape: [HEADS, T, D], dtype: "f32" })
        );
        runners.push(
          await runnerOf("tiled", () => {
            const [q, k, v, dz] = tiled;
            return pass(
              attention(q, k, v, { activation, causal: causal ? "top-left" : false }),
              [q, k, v],
              dz,
            );
          }),
          // Beyond this length the naive loops exceed 65,535 iterations, at which a software adapter ends them.
          T > 1024 ? undefined : await runnerOf("naive", () => {
            const [z, pattern] = naiveAttention(tiled.slice(0, 3), activation, causal);
            if (!backward) return [z];
            return [...naiveAttentionGradient(tiled.slice(0, 3), tiled[3], pattern, activation, causal)];
          }),
          await runnerOf("dense", () => {
            const [q, k, v, dz] = dense;
            return pass(denseAttention(q, k, v, { activation, causal }), [q, k, v], dz);
          }),
        );
      }
      const present = runners.filter((runner): runner is Runner => runner !== undefined);
      const timings = await measure(present);
      const ms = runners.map((runner) => runner && timings[present.indexOf(runner)].ms);
      const [soft, softNaive, softDense, sigmoid, sigmoidNaive, sigmoidDense] = ms;
      body.push([
        `${causal ? "causal" : "full"} ${T}`,
        ...ms.map(cell),
        ratio(softDense, soft),
        ratio(softNaive, soft),
        ratio(sigmoidDense, sigmoid),
        ratio(sigmoidNaive, sigmoid),
        ratio(soft, sigmoid),
      ]);
    }
  }
  printColumns([
    backward ? "forward and backward, ms" : "forward, ms",
    "softmax tiled",
    "naive",
    "dense",
    "sigmoid tiled",
    "naive",
    "dense",
    "softmax: dense / tiled",
    "naive / tiled",
    "sigmoid: dense / tiled",
    "naive / tiled",
    "softmax / sigmoid",
  ], body);
}
