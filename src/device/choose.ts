// Chooses a run's device, and gives the reason in one line. A hardware GPU is always chosen; between a software adapter and
// the CPU, which are the same processor, an estimate decides: WebGPU computes faster there but compiles its kernels first.
import { UserError } from "../base/errors.ts";
import { showSeconds } from "../base/units.ts";
import { CPU_NAME, cpuDevice } from "./cpu/device.ts";
import type { Device, DEVICE_CHOICES } from "./device.ts";
import { estimateSeconds, type Workload } from "./estimate.ts";
import { referenceDevice } from "./reference.ts";
import { adapterName, findAdapter, isSoftware, targetOf, webgpuDevice } from "./webgpu.ts";

/** A device, and why it was chosen. */
export interface Chosen {
  /** The open device; `using` closes it. */
  readonly device: Device;
  /** One line: the device's name, a colon, the reason. */
  readonly reason: string;
}

const INSTALL: Partial<Record<typeof Deno.build.os, string>> = {
  linux: "looked for a Vulkan driver; install the GPU's driver or the software adapter " +
    "(sudo apt-get install mesa-vulkan-drivers)",
  darwin: "looked for a Metal device",
  windows: "looked for a DirectX 12 or Vulkan driver; install the GPU's driver",
};

function onCpu(reason: string): Chosen {
  const device = cpuDevice();
  return { device, reason: `${device.adapter}: ${reason}` };
}

function onReference(reason: string): Chosen {
  const device = referenceDevice();
  return { device, reason: `${device.adapter}: ${reason}` };
}

async function onWebgpu(adapter: GPUAdapter, reason: string): Promise<Chosen> {
  return { device: await webgpuDevice(adapter), reason: `${adapterName(adapter)}: ${reason}` };
}

/**
 * Opens the requested device; "auto" takes a hardware GPU if there is one, else the software adapter or the CPU,
 * whichever `estimateSeconds` estimates to be faster for the run; never the reference device.
 *
 * @param choice the requested device
 * @param work returns the graphs that the run will compute; called only by "auto" when the adapter is a software adapter
 * @param find finds an adapter; tests replace it
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
  find: () => Promise<GPUAdapter | undefined> = findAdapter,
): Promise<Chosen> {
  if (choice === "cpu") return onCpu("as requested");
  if (choice === "reference") return onReference("as requested");
  const adapter = await find();
  if (!adapter) {
    if (choice === "auto") return onCpu("no WebGPU adapter was found");
    const looked = INSTALL[Deno.build.os] ?? "looked for a Vulkan driver";
    throw new UserError(`device: no adapter for "webgpu", ${looked}, or use "cpu".`);
  }
  if (choice === "webgpu") return onWebgpu(adapter, "as requested");
  if (!isSoftware(adapter)) return onWebgpu(adapter, "a GPU");
  const workloads = work();
  let estimate;
  try {
    estimate = estimateSeconds(workloads, targetOf(adapter));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return onCpu(`${adapterName(adapter)} cannot: ${error.message}`);
  }
  const { cpu, software } = estimate;
  if (software < cpu) {
    return onWebgpu(
      adapter,
      `estimated ${showSeconds(software)}, compilation included, against ${showSeconds(cpu)} on ${CPU_NAME}`,
    );
  }
  return onCpu(
    `estimated ${showSeconds(cpu)} against ${showSeconds(software)} on ${
      adapterName(adapter)
    }, compilation included`,
  );
}
