// What the tests of this room share: every device in turn, names that are free, and a device whose WebGPU object a test can
// hold in its hands.
import { cpuDevice } from "../../src/device/cpu.ts";
import type { Device } from "../../src/device/device.ts";
import { findAdapter, webgpuDevice } from "../../src/device/webgpu.ts";
import { webgpuDevices } from "../kernels/harness.ts";

/** Every device: WebGPU under both schedules, the CPU in both precisions. */
export async function everyDevice(test: (device: Device, where: string) => Promise<void>): Promise<void> {
  for (const device of await webgpuDevices()) await test(device, `WebGPU, ${device.target!.kind} schedule`);
  for (const precision of ["f32", "f64"] as const) {
    using device = cpuDevice({ precision });
    await test(device, `CPU, ${precision}`);
  }
}

let states = 0;

/** A name that no other test's state has: devices are shared. */
export const fresh = (name: string): string => `${name} ${states++}`;

/** The machine's adapter, or one that says something else of itself. */
export async function adapterThat(info: Partial<GPUAdapterInfo> = {}): Promise<GPUAdapter> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error("No WebGPU adapter: install mesa-vulkan-drivers, or a GPU's Vulkan driver.");
  const { description, vendor, isFallbackAdapter } = adapter.info;
  return {
    info: { description, vendor, isFallbackAdapter, ...info },
    limits: adapter.limits,
    requestDevice: (wanted: GPUDeviceDescriptor) => adapter.requestDevice(wanted),
  } as GPUAdapter;
}

/** A WebGPU device of its own and the object behind it. */
export async function openRaw(): Promise<{ device: Device; raw: GPUDevice }> {
  const adapter = await adapterThat();
  const raw = await adapter.requestDevice({});
  return {
    device: await webgpuDevice({ ...adapter, limits: raw.limits, requestDevice: () => Promise.resolve(raw) }),
    raw,
  };
}
