// Manages the memory of a WebGPU device: limits, states and copies to the host. Also turns the errors of a device, which
// WebGPU reports asynchronously, into exceptions.
import { UserError } from "../base/errors.ts";
import { sizeOf, type Spec, type Target, type Values } from "../graph/tensor.ts";
import { showBytes } from "../base/units.ts";
import { checkLength, checkState } from "./checks.ts";

/** A state on the device. */
export interface GpuState {
  readonly buffer: GPUBuffer;
  readonly spec: Spec;
}

/** An open WebGPU device with its limits, states and compiled kernels. */
export interface Gpu {
  readonly device: GPUDevice;
  /** The name that the adapter reports. */
  readonly name: string;
  readonly target: Target;
  /** Maximum size of a buffer in bytes. The limit of what a kernel binds (`target.maxBindingBytes`) may be lower. */
  readonly maxBufferBytes: number;
  /** Maximum number of workgroups per dimension of a dispatch. */
  readonly maxWorkgroups: number;
  readonly states: Map<string, GpuState>;
  /** Compiled kernels, keyed by their WGSL source. */
  readonly pipelines: Map<string, GPUComputePipeline>;
  /** Pipelines for which the software adapter has generated code. */
  readonly warm: Set<GPUComputePipeline>;
  /** The first error that no call could throw; every later call throws it. */
  failure: Error | undefined;
}

/** The system removed the device: its driver was restarted or updated, or the card hung or was unplugged. */
export class DeviceLostError extends UserError {
  /** Message that says which device was lost and why, without the remedy. */
  readonly lost: string;

  /** @param lost which device was lost and why */
  constructor(lost: string) {
    super(`${lost}; run the command again, or use another device.`);
    this.lost = lost;
  }
}

/** Throws the device's failure, if it has failed. */
export function checkAlive({ failure }: Gpu): void {
  if (failure) throw failure;
}

/** Records the first error that no call can throw itself. */
export function fail(gpu: Gpu, error: Error): void {
  gpu.failure ??= error;
}

const REMEDY = "use a smaller batch, context or model.";

/** Returns the size of a tensor's buffer in bytes, padded to a multiple of 256. */
export function paddedBytes(spec: Spec): number {
  return Math.ceil(Math.max(sizeOf(spec), 1) / 64) * 256;
}

function checkLimit(label: string, bytes: number, limit: number, name: string): void {
  if (bytes <= limit) return;
  throw new UserError(
    `${label} needs ${showBytes(bytes)} in one buffer, the limit of ${name} is ${
      showBytes(limit)
    }: ${REMEDY}`,
  );
}

/** Throws a `UserError` if a kernel would bind more of a buffer than the adapter allows. */
export function checkBinding({ name, target: { maxBindingBytes } }: Gpu, label: string, bytes: number): void {
  checkLimit(label, bytes, maxBindingBytes, name);
}

/** Throws a `UserError` if a buffer exceeds the adapter's limit; kernels may bind parts of it. */
export function checkBuffer({ name, maxBufferBytes }: Gpu, label: string, bytes: number): void {
  checkLimit(label, bytes, maxBufferBytes, name);
}

/**
 * Returns the error to report for a failed call. A `UserError` is returned unchanged. Otherwise it is the device's failure,
 * which may arrive a moment later, or `error` if the device has not failed.
 */
export async function causeOf(gpu: Gpu, error: unknown): Promise<unknown> {
  if (error instanceof UserError) return error;
  await Promise.race([gpu.device.lost, new Promise((resume) => setTimeout(resume, 100))]);
  return gpu.failure ?? error;
}

/** Creates a buffer of zeros that kernels, copies and uploads may use. */
export function allocate(gpu: Gpu, label: string, bytes: number): GPUBuffer {
  checkBuffer(gpu, label, bytes);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  return gpu.device.createBuffer({ label, size: bytes, usage });
}

/**
 * Calls `work` immediately, and resolves with the error that the device reports, or with undefined if it reports none. If
 * memory ran out, the error is a `UserError`, even if other errors followed from that.
 */
export async function guarded(
  { device, name }: Gpu,
  what: string,
  bytes: number,
  work: () => void,
): Promise<Error | undefined> {
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const scopes = (): Promise<(GPUError | null)[]> =>
    Promise.all([device.popErrorScope(), device.popErrorScope()]);
  try {
    work();
  } catch (error) {
    // This closes the scopes. The errors that they report are ignored, and so is their rejection if the device is lost.
    await scopes().catch(() => {});
    throw error;
  }
  const [memory, validation] = await scopes();
  if (memory) {
    return new UserError(
      `${what} needs ${showBytes(bytes)} (${bytes} bytes), more than ${name} has left: ${REMEDY}`,
    );
  }
  return validation ? new Error(`WebGPU, ${what}: ${validation.message}`) : undefined;
}

/** Creates a state, or overwrites an existing one. */
export function defineState(gpu: Gpu, name: string, spec: Spec, values?: Values): void {
  checkAlive(gpu);
  const held = gpu.states.get(name);
  if (held) checkState(name, held.spec, spec);
  if (values) checkLength(`State ${name}`, values, spec);
  const bytes = paddedBytes(spec);
  if (!held) checkBuffer(gpu, `State ${name}`, bytes);
  const work = (): void => {
    const { buffer } = held ?? { buffer: allocate(gpu, `State ${name}`, bytes) };
    gpu.states.set(name, { buffer, spec });
    if (values) gpu.device.queue.writeBuffer(buffer, 0, bytesOf(values, spec));
    else if (held) gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(bytes));
  };
  guarded(gpu, `State ${name}`, bytes, work).then(
    (error) => error && fail(gpu, error),
    (error) => fail(gpu, error),
  );
}

/** Returns the array to upload, in which float64 values are rounded to float32. */
export function bytesOf(values: Values, spec: Spec): Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  const fits = spec.dtype === "u32" ? values instanceof Uint32Array : values instanceof Float32Array;
  if (fits) return values as Float32Array<ArrayBuffer>;
  return spec.dtype === "u32" ? Uint32Array.from(values) : Float32Array.from(values);
}

/** A tensor in a buffer; the offset is in elements. */
export interface GpuPlace {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly spec: Spec;
}

/**
 * Copies tensors to the host. Their values are those after the work submitted so far, because the copies are queued
 * immediately.
 */
export async function readBack(gpu: Gpu, places: readonly GpuPlace[]): Promise<Values[]> {
  checkAlive(gpu);
  if (places.length === 0) return [];
  const starts: number[] = [];
  let total = 0;
  for (const { spec } of places) {
    starts.push(total);
    total += paddedBytes(spec);
  }
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = gpu.device.createBuffer({ label: "read-back", size: total, usage });
  const encoder = gpu.device.createCommandEncoder();
  places.forEach(({ buffer, offset, spec }, i) => {
    encoder.copyBufferToBuffer(buffer, 4 * offset, staging, starts[i], 4 * sizeOf(spec));
  });
  gpu.device.queue.submit([encoder.finish()]);
  try {
    await staging.mapAsync(GPUMapMode.READ);
    checkAlive(gpu);
    const bytes = staging.getMappedRange();
    return places.map(({ spec }, i) => {
      const part = bytes.slice(starts[i], starts[i] + 4 * sizeOf(spec));
      return spec.dtype === "u32" ? new Uint32Array(part) : new Float32Array(part);
    });
  } catch (error) {
    throw await causeOf(gpu, error);
  } finally {
    staging.destroy();
  }
}
