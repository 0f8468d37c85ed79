// The WebGPU device: finds an adapter, opens it and reads its limits. Memory is in gpu_memory.ts, programs in
// gpu_program.ts.
import type { Target } from "../graph/tensor.ts";
import type { Device, Program } from "./device.ts";
import { causeOf, defineState, DeviceLostError, fail, type Gpu, readBack } from "./gpu_memory.ts";
import { checkProgram, compileProgram } from "./gpu_program.ts";
import { plan } from "./plan.ts";
import type { Graph } from "./plan.ts";
import { entryOf } from "./checks.ts";

const BACKEND = "DENO_WEBGPU_BACKEND";

/** Returns the adapter that WebGPU offers, or undefined if there is none.
 * @category Devices */
export async function findAdapter(): Promise<GPUAdapter | undefined> {
  // If this variable is not set, wgpu may choose a GL software adapter. wgpu reads it at the first request for an adapter.
  if (Deno.build.os === "linux") {
    if (!Deno.env.get(BACKEND)) Deno.env.set(BACKEND, "vulkan");
    // A driver that looks for a window system complains on stderr if this variable names no folder.
    if (!Deno.env.get("XDG_RUNTIME_DIR")) Deno.env.set("XDG_RUNTIME_DIR", "/tmp");
  }
  return await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? undefined;
}

/** True for an adapter that emulates a GPU on the processor. */
export function isSoftware({ info }: GPUAdapter): boolean {
  return info.isFallbackAdapter ||
    /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(info.description);
}

/** Returns the name that an adapter reports. */
export function adapterName({ info }: GPUAdapter): string {
  return info.description || info.device || info.vendor || "WebGPU adapter";
}

/**
 * The number of iterations, in total over all loops of an invocation, after which llvmpipe ends the loops and continues
 * (measured).
 */
const LLVMPIPE_ITERATIONS = 65535;

/** Returns the target for which kernels are lowered on an adapter. */
export function targetOf(adapter: GPUAdapter, schedule?: Target["kind"]): Target {
  const { limits } = adapter;
  return {
    kind: schedule ?? (isSoftware(adapter) ? "software" : "gpu"),
    maxBindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
    maxIterations: /llvmpipe|lavapipe/i.test(adapter.info.description) ? LLVMPIPE_ITERATIONS : undefined,
  };
}

const CLOSED = "This device is closed.";

async function open(adapter: GPUAdapter, schedule?: Target["kind"]): Promise<Gpu> {
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredLimits: {
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    },
  });
  const gpu: Gpu = {
    device,
    name: adapterName(adapter),
    target: targetOf(adapter, schedule),
    maxBufferBytes: limits.maxBufferSize,
    maxWorkgroups: device.limits.maxComputeWorkgroupsPerDimension,
    states: new Map(),
    pipelines: new Map(),
    warm: new Set(),
    failure: undefined,
  };
  device.addEventListener("uncapturederror", (event) => {
    fail(gpu, new Error(`WebGPU: ${(event as GPUUncapturedErrorEvent).error.message}`));
  });
  device.lost.then(({ reason, message }) => {
    if (gpu.failure?.message === CLOSED) return;
    // Any earlier failure was a consequence of the loss.
    gpu.failure = new DeviceLostError(`The WebGPU device ${gpu.name} was lost (${reason}): ${message}`);
  });
  return gpu;
}

/**
 * Opens the WebGPU device of an adapter.
 *
 * Errors that no WebGPU call reports (a lost device, a state that does not fit in memory) are thrown by the next call and
 * by every call after it.
 *
 * @param adapter from `findAdapter`
 * @param schedule the kind of schedule that kernels use. Default: the kind that suits the adapter. Tests use both kinds.
 * @category Devices
 */
export async function webgpuDevice(adapter: GPUAdapter, schedule?: Target["kind"]): Promise<Device> {
  const gpu = await open(adapter, schedule);
  let compiling: Promise<unknown> = Promise.resolve();
  return {
    kind: "webgpu",
    adapter: gpu.name,
    software: isSoftware(adapter),
    target: gpu.target,
    define: (name, spec, values) => defineState(gpu, name, spec, values),
    read: async (names) =>
      await readBack(gpu, names.map((name) => ({ ...entryOf("state", gpu.states, name), offset: 0 }))),
    plan: (graph) => plan(graph, gpu.target),
    check: (plans) => plans.forEach((planned) => checkProgram(gpu, planned)),
    compile(graph: Graph): Promise<Program> {
      // Compiles one program at a time, so that no other program uses the states that a failed compilation frees.
      const compiled = compiling.then(() => compileProgram(gpu, graph)).catch(async (error) => {
        throw await causeOf(gpu, error);
      });
      compiling = compiled.catch(() => {});
      return compiled;
    },
    [Symbol.dispose]() {
      fail(gpu, new Error(CLOSED));
      for (const { buffer } of gpu.states.values()) buffer.destroy();
      gpu.states.clear();
      gpu.device.destroy();
    },
  };
}
