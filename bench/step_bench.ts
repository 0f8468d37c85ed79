// The entire training step of nanoGPT's CPU configuration: forward, backward, clip and AdamW, on random tokens.
import { loadConfig } from "../src/config/mod.ts";
import { referenceDevice } from "../src/device/reference.ts";
import type { Device } from "../src/device/device.ts";
import type { Graph } from "../src/device/plan.ts";
import { initialise } from "../src/model/layout.ts";
import { benchTable, measure, mustAgree, openWebgpu, printTable, type Runner } from "./measure.ts";
import { naiveGraph, type TrainingStep, trainingStep } from "./training_step.ts";

const CONFIGURATION = "nanogpt_cpu";

/** A runner of entire steps, one submit per step as in training, and the gradient of the first step. */
async function stepRunner(name: string, device: Device, { layout, feeds }: TrainingStep, graph: Graph) {
  await initialise(device, layout, 1);
  const program = await device.compile(graph);
  program.run(feeds);
  const gradient = await program.read(["gradient"]);
  const start = () => program.run(feeds);
  const runner: Runner = { name, calls: 1, start, settle: () => device.read(["steps"]) };
  return { runner, gradient, flops: program.plan.flops };
}

async function table(): Promise<Runner> {
  const training = trainingStep(await loadConfig(CONFIGURATION, []));
  const { graph } = training.step;
  const webgpu = await openWebgpu();
  const naive = await openWebgpu();
  const host = referenceDevice();
  const ours = await stepRunner("heed", webgpu, training, graph);
  const plain = await stepRunner("naive", naive, training, naiveGraph(graph));
  const reference = await stepRunner("reference", host, training, graph);
  for (const { runner, gradient } of [ours, plain]) mustAgree(runner.name, gradient, reference.gradient);
  const timings = await measure([ours.runner, plain.runner, reference.runner]);
  printTable("training step", [{ shape: CONFIGURATION, flops: ours.flops, timings }]);
  return ours.runner;
}

benchTable("training step", table);
