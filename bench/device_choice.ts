// Estimates of `--device auto` for entire runs on the CPU and on a software adapter, and their measured times: steps,
// evaluations, tracking and sample, shaders compiled afresh. `deno run -A bench/device_choice.ts [names]`
import { findAdapter, loadConfig, train } from "../mod.ts";
import { estimateSeconds } from "../src/device/mod.ts";
import { graphsOf, runWork } from "../src/train/mod.ts";
import { targetOf } from "../src/device/webgpu.ts";
import { experimentOf } from "../src/train/start_from.ts";
import { printColumns } from "./measure.ts";

// Read when the adapter is opened; without it only the first run would compile.
Deno.env.set("MESA_SHADER_CACHE_DISABLE", "true");

const BROWN = "data.source=brown";
const RUNS: Readonly<Record<string, readonly [config: string, ...overrides: string[]]>> = {
  default: ["default", "train.steps=60"],
  evaluated: ["default", "train.steps=40", "eval.every=10", "eval.batches=60", "sample.tokens=0"],
  sampled: ["default", "train.steps=10", "eval.batches=5", "sample.tokens=1000"],
  tracked: ["default", "track=[{select: [everything], every: 1}]", "train.steps=40", "eval.batches=5"],
  tiny: ["default", "model.dim=16", "model.layers=1", "model.heads=2", "train.steps=400", "eval.batches=20"],
  copy: ["copy", "train.steps=30", "eval.batches=10"],
  nanogpt_cpu: ["nanogpt_cpu", BROWN, "train.steps=20", "eval.batches=10", "sample.tokens=100"],
  long: ["default", "model.context=512", "train.batch=4", "train.steps=12", "eval.batches=4"],
  simple_sigmoid: ["simple_sigmoid", "train.steps=12", "eval.batches=10"],
};

const adapter = await findAdapter();
if (!adapter) throw new Error("No WebGPU adapter: install mesa-vulkan-drivers.");
const output = await Deno.makeTempDir();
const rows: string[][] = [];
for (const name of Deno.args.length > 0 ? Deno.args : Object.keys(RUNS)) {
  const [file, ...overrides] = RUNS[name];
  const config = await loadConfig(file, [...overrides, `output.dir=${output}`]);
  const experiment = await experimentOf(config);
  const estimated = estimateSeconds(runWork(experiment, 0, graphsOf(experiment)), targetOf(adapter));
  const seconds = { cpu: 0, software: 0 };
  for (const [key, device] of [["cpu", "cpu"], ["software", "webgpu"]] as const) {
    let began = 0;
    await train({ ...config, device }, { onStart: () => void (began = performance.now()) });
    seconds[key] = (performance.now() - began) / 1000;
  }
  const ratio = (key: "cpu" | "software") => (estimated[key] / seconds[key]).toFixed(2);
  const slower = (estimated.cpu < estimated.software) === (seconds.cpu < seconds.software)
    ? 1
    : Math.max(seconds.cpu / seconds.software, seconds.software / seconds.cpu);
  rows.push([
    name,
    ...(["cpu", "software"] as const).flatMap((key) => [
      estimated[key].toFixed(1),
      seconds[key].toFixed(1),
      ratio(key),
    ]),
    slower.toFixed(2),
  ]);
}
await Deno.remove(output, { recursive: true });
printColumns(
  [
    "run",
    "CPU: estimate, s",
    "measured",
    "ratio",
    "adapter: estimate, s",
    "measured",
    "ratio",
    "chosen / faster",
  ],
  rows,
);
