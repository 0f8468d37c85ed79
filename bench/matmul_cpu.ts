// GFLOP/s of matrix products on the CPU device, packing included, with one and two threads: the products of a training step
// of configs/nanogpt_cpu.yaml, 1024 cubed, and small, batched and thin ones. `deno run -A bench/matmul_cpu.ts`
import { matmul } from "../kernels/matmul/op.ts";
import type { Device } from "../src/device/device.ts";
import { type CallTime, callTimes, THREADS } from "./cpu_calls.ts";
import { printColumns, randomState } from "./measure.ts";

interface Product {
  readonly what: string;
  readonly batch?: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transA?: boolean;
  readonly transB?: boolean;
}

/** Rows of a batch: 12 samples of 64 tokens. */
const ROWS = 768;

/** The three products of a linear layer, whose weight is [out, in]. */
function layer(out: number, width: number): Product[] {
  return [
    { what: "y = x W'", M: ROWS, N: out, K: width, transB: true },
    { what: "dx = g W", M: ROWS, N: width, K: out },
    { what: "dW = g' x", M: out, N: width, K: ROWS, transA: true },
  ];
}

const PRODUCTS: readonly Product[] = [
  ...[[384, 128], [512, 128], [128, 128], [128, 512], [65, 128]].flatMap(([out, width]) => layer(out, width)),
  { what: "cube", M: 1024, N: 1024, K: 1024 },
  { what: "small", M: 50, N: 27, K: 36 },
  { what: "batched", batch: 48, M: 64, N: 64, K: 32, transB: true },
  ...[1, 2, 4].map((M) => ({ what: "thin", M, N: 512, K: 512, transB: true })),
];

/** FLOP of a program: its calls take far longer than starting it. */
const PROGRAM_FLOPS = 4e8;

const rows: string[][] = [];
for (const { what, batch, M, N, K, transA, transB } of PRODUCTS) {
  const flops = 2 * (batch ?? 1) * M * N * K;
  const calls = Math.min(400, Math.max(4, Math.ceil(PROGRAM_FLOPS / flops)));
  const leading = batch ? [batch] : [];
  const name = `${what} ${[...leading, M].join(" x ")}x${N}x${K}`;
  const times = await callTimes(name, calls, (device: Device) => {
    const a = randomState(device, "a", { shape: [...leading, ...(transA ? [K, M] : [M, K])], dtype: "f32" });
    const b = randomState(device, "b", { shape: [...leading, ...(transB ? [N, K] : [K, N])], dtype: "f32" });
    return () => [matmul(a, b, { transA, transB })];
  });
  const speed = (ms: number) => (flops / ms / 1e6).toFixed(1);
  const cells = ({ median, min, max }: CallTime) => [speed(median), `${speed(max)} to ${speed(min)}`];
  rows.push([name, ...times.flatMap(cells), (times[0].median / times[1].median).toFixed(2)]);
}
printColumns(
  [
    "GFLOP/s, matmul MxNxK",
    ...THREADS.flatMap((n) => [`${n} thread${n > 1 ? "s" : ""}`, "range"]),
    "two / one",
  ],
  rows,
);
