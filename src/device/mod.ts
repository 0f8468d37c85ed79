/**
 * Devices plan, compile and run a graph, on WebGPU or on the processor. They know nothing of models.
 *
 * @example
 * ```ts
 * import { scale } from "../../kernels/mod.ts";
 * import { input } from "../graph/mod.ts";
 * import { referenceDevice } from "./mod.ts";
 * using device = referenceDevice();
 * using program = await device.compile({ outputs: { y: scale(input("x", [3]), 2) } });
 * program.run({ x: Float32Array.of(1, 2, 3) });
 * console.log(await program.read(["y"])); // 2, 4, 6
 * ```
 *
 * @module
 */

export * from "./device.ts";
export * from "./plan.ts";
export { referenceDevice, type ReferenceOptions } from "./reference.ts";
export type { HostFeatures } from "./cpu/features.ts";
export { type CpuDevice, cpuDevice, type CpuOptions, type CpuProgram, type Timing } from "./cpu/device.ts";
export { type Blas, findBlas } from "./cpu/blas.ts";
export { findAdapter, isSoftware, webgpuDevice } from "./webgpu.ts";
export * from "./choose.ts";
export * from "./probe.ts";
export * from "./open.ts";
