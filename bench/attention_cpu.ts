// Causal attention on the CPU device, softmax and sigmoid, with one and two threads: the forward pass, and forward and backward
// together. `deno run -A bench/attention_cpu.ts`; pytorch_attention.py measures the same in PyTorch.
import { attention, attentionOp } from "../kernels/attention/op.ts";
import type { Device } from "../src/device/device.ts";
import type { Tensor } from "../src/graph/tensor.ts";
import { type CallTime, callTimes, THREADS } from "./cpu_calls.ts";
import { printColumns, randomState } from "./measure.ts";

/** [B, T, H, d], and the calls in a program. */
const SHAPES = [{ shape: [12, 64, 4, 32], calls: 40 }, { shape: [1, 2048, 4, 64], calls: 4 }] as const;

const rows: string[][] = [];
for (const { shape, calls } of SHAPES) {
  for (const activation of ["softmax", "sigmoid"] as const) {
    for (const backward of [false, true]) {
      const name = `${activation} [${shape}] ${backward ? "forward and backward" : "forward"}`;
      const times = await callTimes(name, calls, (device: Device) => {
        const [q, k, v, dz] = ["q", "k", "v", "dz"].map((x) =>
          randomState(device, x, { shape, dtype: "f32" })
        );
        return () => {
          const z = attention(q, k, v, { activation, causal: "top-left" });
          if (!backward) return [z];
          return [z, ...attentionOp.vjp!(z.node, [dz], [true, true, true]) as Tensor[]];
        };
      });
      const cells = ({ median, min, max }: CallTime) => [
        median.toFixed(3),
        `${min.toFixed(3)} to ${max.toFixed(3)}`,
      ];
      rows.push([name, ...times.flatMap(cells), (times[0].median / times[1].median).toFixed(2)]);
    }
  }
}
printColumns(
  [
    "ms, [B, T, H, d]",
    ...THREADS.flatMap((n) => [`${n} thread${n > 1 ? "s" : ""}`, "range"]),
    "one / two",
  ],
  rows,
);
