// Which device a run takes, and why, in one line. A real GPU always; between a software adapter and the CPU, which are the
// same processor, an estimate decides: WebGPU computes faster there but compiles its kernels first.
import { UserError } from "../errors.ts";
import { showSeconds } from "../units.ts";
import { CPU_NAME, cpuDevice } from "./cpu.ts";
import type { Device } from "./device.ts";
import { adapterName, findAdapter, isSoftware, webgpuDevice } from "./webgpu.ts";

/** What a run will ask of a device. */
export interface RunCost {
  /** Floating point operations of a step. */
  readonly flops: number;
  /** Dispatches of a step. */
  readonly dispatches: number;
  /** Steps in all. */
  readonly steps: number;
}

/**
 * Rounded from what bench/ found on two cores without a GPU, Deno 2.9.6 and llvmpipe of Mesa 22.3.6 (CPU 4 to 6 GFLOP/s,
 * llvmpipe 11 to 14 over whole steps). What a dispatch adds and the compilation of a run's programs are estimates.
 */
const MEASURED = {
  cpuFlops: 5e9,
  softwareFlops: 11e9,
  softwareDispatchSeconds: 25e-6,
  softwareCompileSeconds: 6,
};

/**
 * Seconds that a run would take on the CPU and on a software adapter, compilation included:
 * steps flops / 5e9, and 6 + steps (flops / 11e9 + dispatches 25e-6).
 *
 * @example
 * ```ts
 * import { estimateSeconds } from "../../mod.ts";
 * estimateSeconds({ flops: 4e9, dispatches: 150, steps: 100 }); // { cpu: 80, software: 42.7 }
 * ```
 */
export function estimateSeconds({ flops, dispatches, steps }: RunCost): { cpu: number; software: number } {
  const { cpuFlops, softwareFlops, softwareDispatchSeconds, softwareCompileSeconds } = MEASURED;
  return {
    cpu: steps * flops / cpuFlops,
    software: softwareCompileSeconds + steps * (flops / softwareFlops + dispatches * softwareDispatchSeconds),
  };
}

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
 * @param cost what the run will compute; only "auto" asks
 * @param find how an adapter is found; tests give their own
 * @throws {UserError} for "webgpu" where there is no adapter, with what to install
 *
 * @example
 * ```ts
 * import { chooseDevice } from "../../mod.ts";
 * const { device, reason } = await chooseDevice("auto", { flops: 4e9, dispatches: 150, steps: 2000 });
 * console.error(reason);
 * device[Symbol.dispose]();
 * ```
 */
export async function chooseDevice(
  wanted: "auto" | "webgpu" | "cpu",
  cost: RunCost,
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
  const { cpu, software } = estimateSeconds(cost);
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
