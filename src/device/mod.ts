// The door of the device room.
export type { Device, Program } from "./device.ts";
export {
  type Buffer,
  type BufferSlice,
  type Graph,
  type Memory,
  type Plan,
  plan,
  type Step,
} from "./plan.ts";
export { cpuDevice, type CpuOptions } from "./cpu.ts";
export { findAdapter, isSoftware, webgpuDevice } from "./webgpu.ts";
export * from "./choose.ts";
export * from "./estimate.ts";
export { openDevice } from "./open.ts";
