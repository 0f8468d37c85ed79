// A training step on the CPU device: milliseconds of windows of steps as training runs them, and where the time goes.
// `deno run -A bench/cpu_step.ts [configuration] [threads] [--blas=auto|FILE] [--profile]`; without --profile it prints the
// windows' milliseconds per step as JSON, with --blas those without and with the library, measured in turns.
import { loadConfig } from "../src/config/mod.ts";
import { findBlas } from "../src/device/cpu/blas.ts";
import { cpuDevice } from "../src/device/cpu/device.ts";
import { initialise } from "../src/model/layout.ts";
import { printColumns } from "./measure.ts";
import { trainingStep } from "./training_step.ts";

const [ROUNDS, STEPS, PROFILES] = [5, 20, 20];

const [name = "nanogpt_cpu", threads = "2"] = Deno.args.filter((arg) => !arg.startsWith("--"));
const { step: { graph }, layout, feeds, feedsOf } = trainingStep(await loadConfig(name, []));
const blas = Deno.args.find((arg) => arg.startsWith("--blas="))?.slice("--blas=".length);
const contenders = await Promise.all(
  [undefined, ...(blas ? [findBlas(blas)] : [])].map(async (blas) => {
    const device = cpuDevice({ threads: Number(threads), blas });
    await initialise(device, layout, 1);
    return { device, program: await device.compile(graph), steps: 0 };
  }),
);

/** Milliseconds per step of one window, its read included. */
async function window(contender: typeof contenders[number]): Promise<number> {
  const { device, program } = contender;
  const began = performance.now();
  for (let k = 0; k < STEPS; k++) program.run(feedsOf(contender.steps++));
  await device.read(["steps"]);
  return (performance.now() - began) / STEPS;
}

for (let warm = 0; warm < 3; warm++) {
  for (const contender of contenders) await window(contender);
}
if (Deno.args.includes("--profile")) {
  const { program } = contenders.at(-1)!;
  const parts = new Map<string, { count: number; ms: number[] }>();
  for (let k = 0; k < PROFILES; k++) {
    const sums = new Map<string, { count: number; ms: number }>();
    for (const { label, ms } of program.profile(feeds)) {
      const sum = sums.get(label) ?? { count: 0, ms: 0 };
      sums.set(label, { count: sum.count + 1, ms: sum.ms + ms });
    }
    for (const [label, { count, ms }] of sums) {
      parts.set(label, { count, ms: [...parts.get(label)?.ms ?? [], ms] });
    }
  }
  const median = (xs: number[]) => xs.toSorted((a, b) => a - b)[xs.length >> 1];
  const rows = [...parts].map(([label, { count, ms }]) => ({
    label,
    count,
    ms: median(ms),
  }));
  rows.sort((a, b) => b.ms - a.ms);
  const total = rows.reduce((sum, { ms }) => sum + ms, 0);
  printColumns(
    ["part", "times", "ms per step", "share"],
    rows.map((
      { label, count, ms },
    ) => [
      label,
      `${count}`,
      ms.toFixed(3),
      `${(100 * ms / total).toFixed(1)}%`,
    ]),
  );
  console.log(
    `in TypeScript: ${[...new Set(program.inTypeScript)].join(", ") || "nothing"}`,
  );
} else {
  const windows: number[][] = contenders.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [k, contender] of contenders.entries()) {
      windows[k].push(await window(contender));
    }
  }
  contenders.forEach(({ device }, k) => console.log(device.adapter, JSON.stringify(windows[k])));
}
Deno.exit(0);
