// Chooses the device of a run, and states the reason in one line. If there is a GPU, short measurements of it and of the CPU
// decide. A software adapter runs on the same processor as the CPU device, and is slower: it is used only if requested.
import { UserError } from "../base/errors.ts";
import { showSeconds } from "../base/units.ts";
import type { Blas } from "./cpu/blas.ts";
import { cpuDevice, fitsCpu } from "./cpu/device.ts";
import { type HostFeatures, hostFeatures } from "./cpu/features.ts";
import type { Device, DEVICE_CHOICES } from "./device.ts";
import { plan } from "./plan.ts";
import { estimateSeconds, type Speed, speedOf, type Workload } from "./probe.ts";
import { referenceDevice } from "./reference.ts";
import { adapterName, findAdapter, isSoftware, webgpuDevice } from "./webgpu.ts";

/** A device, and why it was chosen. */
export interface Chosen {
  /** The open device; `using` closes it. */
  readonly device: Device;
  /** One line with the device's name, a colon and the reason. */
  readonly reason: string;
}

/** Options of the choice. */
export interface ChoiceOptions {
  /** Number of threads of the CPU device. Default: one per core. */
  readonly threads?: number;
  /** The library that computes the matrix products of the CPU device. Default: none; the device computes them itself. */
  readonly blas?: Blas;
  /** Finds an adapter; tests replace it. */
  readonly find?: () => Promise<GPUAdapter | undefined>;
  /** Measures a device; tests replace it. */
  readonly speed?: (device: Device) => Promise<Speed>;
  /** The features of the host's WebAssembly; tests replace them. */
  readonly features?: HostFeatures;
}

const INSTALL: Partial<Record<typeof Deno.build.os, string>> = {
  linux: "looked for a Vulkan driver; install the GPU's driver or the software adapter " +
    "(sudo apt-get install mesa-vulkan-drivers)",
  darwin: "looked for a Metal device",
  windows: "looked for a DirectX 12 or Vulkan driver; install the GPU's driver",
};

const chosen = (device: Device, reason: string): Chosen => ({
  device,
  reason: `${device.adapter}: ${reason}`,
});

/**
 * Opens the CPU device, or the reference device if the host's WebAssembly has no vectors or the work needs more than 4 GiB
 * of memory.
 */
function processor(
  work: () => readonly Workload[],
  { threads, blas, features = hostFeatures() }: ChoiceOptions,
  reason: string,
): Chosen {
  if (!features.simd) {
    return chosen(referenceDevice(), `${reason}, and this host's WebAssembly has no vectors (SIMD)`);
  }
  if (!fitsCpu(work().map(({ graph }) => plan(graph, "simd")))) {
    return chosen(referenceDevice(), `${reason}, and the CPU device has at most 4 GiB of memory; slow`);
  }
  const alone = features.shared ? "" : "; one thread, because this host has no shared memory";
  return chosen(cpuDevice({ threads, blas, features }), `${reason}${alone}`);
}

/** Returns the faster of a GPU and the CPU, as estimated from measurements of both, and closes the other device. */
async function fasterOf(
  gpu: Device,
  work: () => readonly Workload[],
  options: ChoiceOptions,
): Promise<Chosen> {
  const { speed = speedOf, features = hostFeatures() } = options;
  if (!features.simd) return chosen(gpu, "a GPU");
  const cpu = cpuDevice({ threads: options.threads, blas: options.blas, features });
  try {
    const workloads = work();
    const estimates = {
      webgpu: estimateSeconds(workloads, gpu.plan, await speed(gpu)),
      cpu: estimateSeconds(workloads, cpu.plan, await speed(cpu)),
    };
    const [device, other, kind] = estimates.webgpu <= estimates.cpu
      ? [gpu, cpu, "webgpu"] as const
      : [cpu, gpu, "cpu"] as const;
    const [is, than] = kind === "webgpu"
      ? [estimates.webgpu, estimates.cpu]
      : [estimates.cpu, estimates.webgpu];
    other[Symbol.dispose]();
    const reason = `estimated ${showSeconds(is)}, against ${showSeconds(than)} on ${other.adapter}`;
    return chosen({ ...device, estimates }, reason);
  } catch (error) {
    gpu[Symbol.dispose]();
    if (error instanceof UserError) return chosen(cpu, `${gpu.adapter} cannot: ${error.message}`);
    cpu[Symbol.dispose]();
    throw error;
  }
}

/**
 * Opens the requested device. If there is a GPU, "auto" measures the GPU and the CPU for some tens of milliseconds each,
 * once for each version of heed and Deno, and takes the faster of them. It takes the reference device only if WebAssembly
 * lacks vectors or the work does not fit into the 4 GiB of the CPU device.
 *
 * @param choice the requested device
 * @param work returns the graphs that the run will compute; called only by "auto"
 * @throws {UserError} for "webgpu" without an adapter; the message says what to install
 *
 * @example
 * ```ts
 * import { chooseDevice } from "./mod.ts";
 * import { input, matmul } from "../../mod.ts";
 * const x = input("x", [512, 512]);
 * const { device, reason } = await chooseDevice("auto", () => [{ graph: { outputs: { y: matmul(x, x) } }, runs: 2000 }]);
 * console.error(reason);
 * device[Symbol.dispose]();
 * ```
 */
export async function chooseDevice(
  choice: typeof DEVICE_CHOICES[number],
  work: () => readonly Workload[],
  options: ChoiceOptions = {},
): Promise<Chosen> {
  if (choice === "reference") return chosen(referenceDevice(), "as requested");
  if (choice === "cpu") {
    const { threads, blas, features } = options;
    return chosen(cpuDevice({ threads, blas, features }), "as requested");
  }
  const adapter = await (options.find ?? findAdapter)();
  if (!adapter) {
    if (choice === "auto") return processor(work, options, "no WebGPU adapter was found");
    const looked = INSTALL[Deno.build.os] ?? "looked for a Vulkan driver";
    throw new UserError(`device: no adapter for "webgpu", ${looked}, or use "cpu".`);
  }
  if (choice === "webgpu") return chosen(await webgpuDevice(adapter), "as requested");
  if (isSoftware(adapter)) {
    return processor(work, options, `faster than ${adapterName(adapter)} on the same processor`);
  }
  return fasterOf(await webgpuDevice(adapter), work, options);
}
