// Matrix products of the CPU device: GFLOP/s on one thread and on two, packing included, at the shapes of nanoGPT's CPU
// configuration, forward and backward, and at others. `deno run -A bench/cpu_products.ts [FILTER] [MS]`.
import process from "node:process";
import { matmul, type MatmulOptions } from "../kernels/matmul/op.ts";
import { cpuDevice } from "../src/device/cpu/device.ts";
import { printColumns, randomState, repeated } from "./measure.ts";

const [FORWARD, DX, DW]: MatmulOptions[] = [{ transB: true }, {}, {
  transA: true,
}];
const PRODUCTS: readonly [
  name: string,
  M: number,
  N: number,
  K: number,
  MatmulOptions,
  batch?: number,
][] = [
  ...[384, 128, 512, 65].flatMap((out) =>
    [
      ["y", 768, out, 128, FORWARD],
      ["dx", 768, 128, out, DX],
      ["dW", out, 128, 768, DW],
    ] as [string, number, number, number, MatmulOptions][]
  ),
  ["y", 768, 128, 512, FORWARD],
  ["dx", 768, 512, 128, DX],
  ["dW", 128, 512, 768, DW],
  ["batched", 64, 64, 32, FORWARD, 48],
  ["cube", 1024, 1024, 1024, FORWARD],
  ["few rows", 1, 512, 512, FORWARD],
  ["few rows", 4, 512, 512, FORWARD],
];
/** Products per run: enough to hide its start, with different operands, as in a step. */
const TIMES = 6;
const ROUNDS = 5;

/** Milliseconds that this process has computed: on one thread, other processes do not count. */
const computed = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const [filter = "", budget = "300"] = Deno.args;
const devices = [1, 2].map((threads) => cpuDevice({ threads }));
const rows: string[][] = [];
for (const [name, M, N, K, options, batch] of PRODUCTS) {
  const label = `${name} ${batch ? `${batch} x ` : ""}${M}x${N}x${K}`;
  if (!label.includes(filter)) continue;
  const lead = batch ? [batch] : [];
  const runs = await Promise.all(devices.map(async (device) => {
    const operands = Array.from(
      { length: TIMES },
      (_, i) =>
        (["a", "b"] as const).map((side) => {
          const [rows, columns] = side === "a" ? [M, K] : [K, N];
          const transposed = side === "a" ? options.transA : options.transB;
          const shape = [
            ...lead,
            ...(transposed ? [columns, rows] : [rows, columns]),
          ];
          return randomState(device, `${label} ${side} ${i}`, {
            shape,
            dtype: "f32",
          });
        }),
    );
    const graph = repeated(
      (turn) => [matmul(operands[turn][0], operands[turn][1], options)],
      TIMES,
    );
    return {
      program: await device.compile(graph),
      alone: device.threads === 1,
      ms: Infinity,
    };
  }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const run of runs) {
      const end = performance.now() + Number(budget) / ROUNDS;
      do {
        const [began, before] = [performance.now(), computed()];
        run.program.run();
        const wall = performance.now() - began;
        run.ms = Math.min(
          run.ms,
          (run.alone ? Math.min(wall, computed() - before) : wall) / TIMES,
        );
      } while (performance.now() < end);
    }
  }
  const speeds = runs.map(({ ms }) => 2 * (batch ?? 1) * M * N * K / ms / 1e6);
  rows.push([
    label,
    ...speeds.map((x) => x.toFixed(1)),
    (speeds[1] / speeds[0]).toFixed(2),
  ]);
  for (const { program } of runs) program[Symbol.dispose]();
}
for (const device of devices) device[Symbol.dispose]();
printColumns([
  "product MxNxK",
  "one thread, GFLOP/s",
  "two threads, GFLOP/s",
  "ratio",
], rows);
