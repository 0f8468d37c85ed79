// Detects the features of the host: the vectors and shared memory of its WebAssembly, its cores, and fused multiply-adds.
import { f32, f32x4, load, wasmModule } from "../../wasm/mod.ts";

/** The features of a host. */
export interface HostFeatures {
  /** True if the host has vectors of 128 bits and relaxed multiply-adds. */
  readonly simd: boolean;
  /** True if the host has memory that threads can share. */
  readonly shared: boolean;
  /** Number of processor cores. */
  readonly cores: number;
}

/** Returns a module that is valid only if the host has vectors and, if `shared` is true, also shared memory. */
function probe(shared: boolean): Uint8Array<ArrayBuffer> {
  const module = wasmModule({ memory: { initial: 1, maximum: 1, shared } });
  const f = module.func({ params: ["i32"] }, (f, at) => {
    const [a, b, c] = [0, 4, 8].map((offset) => f32x4.splat(load("f32", at, offset)));
    f.store(at, f32.add(f32x4.lane(f32x4.madd(a, b, c), 0), 0), 12);
  });
  module.export("probe", f);
  return module.binary();
}

/** Returns the features of this host. */
export function hostFeatures(): HostFeatures {
  return {
    simd: WebAssembly.validate(probe(false)),
    shared: typeof SharedArrayBuffer === "function" && WebAssembly.validate(probe(true)),
    cores: navigator.hardwareConcurrency,
  };
}

/**
 * True if multiply-adds are fused, that is, rounded once. This depends on the processor, and it is the only reason why
 * results differ between processors.
 */
export function isFused(): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(probe(false)), { env: { memory } });
  const x = new Float32Array(memory.buffer);
  // (1 + e)^2 - (1 + 2 e) is e^2, or 0 if the product is rounded first.
  x.set([1 + 2 ** -12, 1 + 2 ** -12, -(1 + 2 ** -11)]);
  (exports.probe as (at: number) => void)(0);
  return x[3] !== 0;
}
