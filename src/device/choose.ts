// Draft, to be replaced.
import type { Device } from "./device.ts";
import { cpuDevice } from "./cpu.ts";
import { findAdapter, webgpuDevice } from "./webgpu.ts";
export async function chooseDevice(
  wanted: "auto" | "webgpu" | "cpu",
  _cost: { flops: number; dispatches: number; steps: number },
): Promise<{ device: Device; reason: string }> {
  if (wanted === "cpu") return { device: cpuDevice(), reason: "CPU" };
  return { device: await webgpuDevice((await findAdapter())!), reason: "webgpu" };
}
