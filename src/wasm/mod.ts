/**
 * An assembler for WebAssembly: typed functions that write instructions, functions and modules at run time. It knows
 * nothing about tensors or devices.
 *
 * @example
 * ```ts
 * import { f32, load, wasmModule } from "./mod.ts";
 * const module = wasmModule({ memory: { initial: 1, maximum: 1, shared: false } });
 * const double = module.func({ params: ["i32"] }, (f, at) => f.store(at, f32.mul(load("f32", at), 2)));
 * module.export("double", double);
 * new WebAssembly.Module(module.binary());
 * ```
 *
 * @module
 */

export type { Bytes } from "./bytes.ts";
export * from "./value.ts";
export * from "./instructions.ts";
export * from "./module.ts";
