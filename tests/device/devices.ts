// Shared by the tests of devices: all devices, unused names, and a device whose WebGPU object a test can access.
import { referenceDevice } from "../../src/device/reference.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import type { Device } from "../../src/device/device.ts";
import { findAdapter, webgpuDevice } from "../../src/device/webgpu.ts";
import { webgpuDevices } from "../kernels/harness.ts";

/** All devices: WebGPU with both schedules, the CPU with two threads, the reference device in both precisions. */
export async function everyDevice(test: (device: Device, where: string) => Promise<void>): Promise<void> {
  for (const device of await webgpuDevices()) await test(device, `WebGPU, ${device.target!.kind} schedule`);
  using cpu = cpuDevice({ threads: 2 });
  await test(cpu, "cpu");
  for (const precision of ["f32", "f64"] as const) {
    using device = referenceDevice({ precision });
    await test(device, `reference, ${precision}`);
  }
}

let states = 0;

/** A name that no other test's state has: devices are shared. */
export const fresh = (name: string): string => `${name} ${states++}`;

/** The machine's adapter, optionally with other reported properties. */
export async function adapterThat(info: Partial<GPUAdapterInfo> = {}): Promise<GPUAdapter> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error("No WebGPU adapter: install mesa-vulkan-drivers, or a GPU's Vulkan driver.");
  const { description, vendor, isFallbackAdapter } = adapter.info;
  return {
    info: { description, vendor, isFallbackAdapter, ...info },
    limits: adapter.limits,
    requestDevice: (descriptor: GPUDeviceDescriptor) => adapter.requestDevice(descriptor),
  } as GPUAdapter;
}

/** A new WebGPU device and its GPUDevice. */
export async function openRaw(): Promise<{ device: Device; raw: GPUDevice }> {
  const adapter = await adapterThat();
  const raw = await adapter.requestDevice({});
  return {
    device: await webgpuDevice({ ...adapter, limits: raw.limits, requestDevice: () => Promise.resolve(raw) }),
    raw,
  };
}
