// Compiles a configuration's training step with the "gpu" schedules and writes a description of each dispatch,
// dispatches.json, beside the files of isa_layer.c and isa_hooks.ts:  isa_compile.ts [CONFIG] [key=value ...], run by isa.sh.
// All buffers are created with 256 bytes, so that any model compiles.
import { FOLDER, type NamedPipeline, pipelines } from "./isa_hooks.ts";
import { runCommand } from "../../src/cli/command.ts";
import { type Command, onlyName, splitOverrides } from "../../src/cli/options.ts";
import { loadConfig } from "../../src/config/mod.ts";
import { findAdapter, webgpuDevice } from "../../src/device/webgpu.ts";
import type { Step } from "../../src/device/plan.ts";
import { UserError } from "../../src/base/errors.ts";
import { stepGraphs } from "../../src/train/compile.ts";
import { trainingStep } from "../training_step.ts";

/** In place of bind groups: the pipeline and the bytes to bind. */
const bound: { pipeline: NamedPipeline; bytes: number[] }[] = [];

function fakeBuffers(): void {
  const { createBuffer } = GPUDevice.prototype;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    return createBuffer.call(this, { ...descriptor, size: 256 });
  };
  GPUQueue.prototype.writeBuffer = () => {};
  GPUComputePipeline.prototype.getBindGroupLayout = function () {
    return this as unknown as GPUBindGroupLayout;
  };
  GPUDevice.prototype.createBindGroup = ({ layout, entries }) => {
    const bytes = [...entries].map(({ resource }) => (resource as GPUBufferBinding).size!);
    bound.push({ pipeline: pipelines.get(layout)!, bytes });
    return {} as GPUBindGroup;
  };
}

/** Dispatches in execution order, which is the order of their bind groups; the first of a step has its flops. */
function dispatchesOf(steps: readonly Step[]) {
  const groups = bound.values();
  return steps.flatMap(({ node, call, lowered }) =>
    lowered.dispatches.map(({ workgroups, constants }, i) => {
      const { pipeline, bytes } = groups.next().value!;
      const flops = i === 0 ? node.op.flops?.(call) ?? 0 : 0;
      return { ...pipeline, bytes, op: node.op.name, path: node.path, workgroups, constants, flops };
    })
  );
}

const command: Command = {
  name: "isa_compile",
  summary: "compiles a configuration's training step for bench/isa/isa.sh",
  usage: "[config] [key=value ...]",
  options: {},
  examples: ["bash bench/isa/isa.sh nanogpt_cpu"],
};

await runCommand(command, async ({ positionals }) => {
  const { names, overrides } = splitOverrides(positionals);
  const config = await loadConfig(onlyName(names, "configuration") ?? "nanogpt_cpu", overrides);
  const adapter = await findAdapter();
  if (!adapter) {
    throw new UserError("The Vulkan driver offers no adapter; does ISA_GPU name one of its GPUs?");
  }
  fakeBuffers();
  const device = await webgpuDevice(adapter, "gpu");
  const { model } = trainingStep(config);
  // Tracking compiles several steps; the last one tracks most.
  const { graph } = [...stepGraphs(model).values()].at(-1)!;
  const { plan } = await device.compile(graph);
  const dispatches = dispatchesOf(plan.steps);
  const { flops, memory } = plan;
  const written = { adapter: device.adapter, config: Deno.args, flops, memory, dispatches };
  Deno.writeTextFileSync(`${FOLDER}/dispatches.json`, JSON.stringify(written));
  const distinct = new Set(dispatches.map(({ file }) => file)).size;
  console.error(`${device.adapter}: ${dispatches.length} dispatches of ${distinct} pipelines`);
  return 0;
});
