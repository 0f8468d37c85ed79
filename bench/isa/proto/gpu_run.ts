// Runs WGSL of the proposals on whatever adapter there is, for check_matmul.ts and check_attention.ts.
import { findAdapter } from "../../../src/device/webgpu.ts";

/** The adapter's device with all of its workgroup memory. */
export async function openDevice(): Promise<GPUDevice> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error("There is no WebGPU adapter.");
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = adapter.limits;
  return await adapter.requestDevice({
    requiredLimits: {
      maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup,
      maxStorageBuffersPerShaderStage: 8,
    },
  });
}

/** Seeded numbers in [-1, 1). */
export function randomFloats(n: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A kernel's buffers in the order of their bindings: values to read, or how many floats it writes. */
export type Bindings = readonly (Float32Array | number)[];

/** Runs a kernel once; its results in the order of their bindings. */
export async function runKernel(
  device: GPUDevice,
  path: string,
  bindings: Bindings,
  workgroups: readonly [number, number, number],
): Promise<Float32Array[]> {
  device.pushErrorScope("validation");
  const buffers = bindings.map((values) => {
    const size = 4 * (typeof values === "number" ? values : values.length);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = device.createBuffer({ size, usage });
    if (typeof values !== "number") device.queue.writeBuffer(buffer, 0, values as Float32Array<ArrayBuffer>);
    return buffer;
  });
  const module = device.createShaderModule({ code: Deno.readTextFileSync(path) });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(...workgroups);
  pass.end();
  const results = buffers.filter((_, i) => typeof bindings[i] === "number").map((buffer) => {
    const copy = device.createBuffer({
      size: buffer.size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
    return copy;
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${path}: ${error.message}`);
  return await Promise.all(results.map(async (copy) => {
    await copy.mapAsync(GPUMapMode.READ);
    return new Float32Array(copy.getMappedRange().slice(0));
  }));
}

/** The largest difference over the largest value of the reference. */
export function worstError(values: ArrayLike<number>, reference: ArrayLike<number>): number {
  let [worst, largest] = [0, 0];
  for (let i = 0; i < reference.length; i++) {
    // NaN stays the worst.
    worst = worst >= Math.abs(values[i] - reference[i]) ? worst : Math.abs(values[i] - reference[i]);
    largest = Math.max(largest, Math.abs(reference[i]));
  }
  return worst / largest;
}

/** Prints an error and sets exit code 1 where it is above float32's for sums of a few hundred products. */
export function report(name: string, error: number): void {
  const right = error < 2e-6;
  if (!right) Deno.exitCode = 1;
  console.log(`${name} ${error.toExponential(1)}${right ? "" : " WRONG"}`);
}
