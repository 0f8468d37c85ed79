// Which device a run takes, and why, in one line. A real GPU always; between a software adapter and the CPU, which are the
// same processor, an estimate decides: WebGPU computes faster there but compiles its kernels first.
import { UserError } from "../base/errors.ts";
import { showSeconds } from "../base/units.ts";
import { CPU_NAME, cpuDevice } from "./cpu.ts";
import type { Device, DEVICE_CHOICES } from "./device.ts";
import { estimateSeconds, type Workload } from "./estimate.ts";
import { adapterName, findAdapter, isSoftware, targetOf, webgpuDevice } from "./webgpu.ts";

/** A device, and why it was taken. */
export interface Chosen {
  /** Open; close it with `using`. */
  readonly device: Device;
  /** One line: the device's name, a colon, the reason. */
  readonly reason: string;
}

const INSTALL: Partial<Record<typeof Deno.build.os, string>> = {
  linux: "looked for a Vulkan driver; install the GPU's own or the software adapter " +
    "(sudo apt-get install mesa-vulkan-drivers)",
  darwin: "looked for a Metal device",
  windows: "looked for a DirectX 12 or Vulkan driver; install the GPU's own",
};

function onCpu(reason: string): Chosen {
  return { device: cpuDevice(), reason: `${CPU_NAME}: ${reason}` };
}

async function onWebgpu(adapter: GPUAdapter, reason: string): Promise<Chosen> {
  return { device: await webgpuDevice(adapter), reason: `${adapterName(adapter)}: ${reason}` };
}

/**
 * Opens the device that was asked for; "auto" takes a real GPU where there is one, else the software adapter or the CPU,
 * whichever `estimateSeconds` finds faster for the run.
 *
 * @param wanted what was asked for
 * @param work what will be computed; asked for only by "auto" where the adapter is a software adapter
 * @param find how an adapter is found; tests give their own
 * @throws {UserError} for "webgpu" where there is no adapter, with what to install
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
  wanted: typeof DEVICE_CHOICES[number],
  work: () => readonly Workload[],
  find: () => Promise<GPUAdapter | undefined> = findAdapter,
): Promise<Chosen> {
  if (wanted === "cpu") return onCpu("as asked for");
  const adapter = await find();
  if (!adapter) {
    if (wanted === "auto") return onCpu("no WebGPU adapter was found");
    const looked = INSTALL[Deno.build.os] ?? "looked for a Vulkan driver";
    throw new UserError(`device: no adapter for "webgpu", ${looked}, or ask for "cpu".`);
  }
  if (wanted === "webgpu") return onWebgpu(adapter, "as asked for");
  if (!isSoftware(adapter)) return onWebgpu(adapter, "a GPU");
  const asked = work();
  let estimate;
  try {
    estimate = estimateSeconds(asked, targetOf(adapter));
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
