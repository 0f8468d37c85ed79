// A training step on the CPU device of another checkout of heed, one whose modules lie where they do in commit f9ba6f6.
// `deno run -A --config TREE/deno.json bench/step_of_tree.ts TREE [configuration]` prints medians as JSON, as cpu_step.ts does.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [ROUNDS, STEPS] = [3, 3];

const [tree, name = "nanogpt_cpu"] = Deno.args;
Deno.chdir(tree);
const load = (file: string) => import(pathToFileURL(resolve(file)).href);
const { loadConfig } = await load("src/config/mod.ts");
const { cpuDevice } = await load("src/device/cpu.ts");
const { initialise } = await load("src/train/parameters.ts");
const { trainingStep } = await load("bench/training_step.ts");

const { step: { graph }, layout, feeds } = trainingStep(await loadConfig(name, []));
const device = cpuDevice();
await initialise(device, layout, 1);
const program = await device.compile(graph);
program.run(feeds);
const medians: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const began = performance.now();
  for (let k = 0; k < STEPS; k++) program.run(feeds);
  await device.read(["steps"]);
  medians.push((performance.now() - began) / STEPS);
}
console.log(JSON.stringify(medians));
Deno.exit(0);
