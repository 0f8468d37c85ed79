// Compiles single WGSL files as isa_compile.ts does a training step:  isa_wgsl.ts FILE.wgsl ..., run by isa.sh
import "./isa_hooks.ts";
import { runCommand } from "../../src/cli/command.ts";
import type { Command } from "../../src/cli/options.ts";
import { findAdapter } from "../../src/device/webgpu.ts";
import { UserError } from "../../src/base/errors.ts";
import { basename } from "node:path";

async function open(): Promise<GPUDevice> {
  const adapter = await findAdapter();
  if (!adapter) {
    throw new UserError("The Vulkan driver offers no adapter; does ISA_GPU name one of its GPUs?");
  }
  const { limits, features } = adapter;
  return await adapter.requestDevice({
    requiredFeatures: features.has("shader-f16") ? ["shader-f16"] : [],
    requiredLimits: {
      maxStorageBuffersPerShaderStage: Math.min(16, limits.maxStorageBuffersPerShaderStage),
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    },
  });
}

function readCode(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new UserError(`${path}: cannot be read: ${(error as Error).message}`);
  }
}

async function compile(device: GPUDevice, path: string): Promise<void> {
  const code = readCode(path);
  const entryPoint = code.match(/@compute[^]*?fn (\w+)/)?.[1];
  if (!entryPoint) {
    throw new UserError(`${path}: expected a WGSL module with a @compute function, found none.`);
  }
  device.pushErrorScope("validation");
  device.createComputePipeline({
    label: basename(path, ".wgsl"),
    layout: "auto",
    compute: { module: device.createShaderModule({ label: path, code }), entryPoint },
  });
  const error = await device.popErrorScope();
  if (error) {
    throw new UserError(`${path}: ${error.message.replaceAll(/\s+/g, " ")}`);
  }
}

const command: Command = {
  name: "isa_wgsl",
  summary: "compiles WGSL files for bench/isa/isa.sh",
  usage: "FILE.wgsl ...",
  options: {},
  examples: ["bash bench/isa/isa.sh mine.wgsl"],
};

await runCommand(command, async ({ positionals }) => {
  const device = await open();
  for (const path of positionals) await compile(device, path);
  return 0;
});
