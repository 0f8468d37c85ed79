// What the host's WebAssembly provides: vectors, shared memory, cores, and whether a multiply-add is rounded once.
import { f32, f32x4, load, wasmModule } from "../../wasm/mod.ts";

/** What the host provides. */
export interface HostFeatures {
  /** Vectors of 128 bits and relaxed multiply-adds. */
  readonly simd: boolean;
  /** Memory that threads can share. */
  readonly shared: boolean;
  /** Processor cores. */
  readonly cores: number;
}

/** A module that is valid only if the host has vectors, and if `shared`, shared memory. */
function probe(shared: boolean): Uint8Array<ArrayBuffer> {
  const module = wasmModule({ memory: { initial: 1, maximum: 1, shared } });
  const f = module.func({ params: ["i32"] }, (f, at) => {
    const [a, b, c] = [0, 4, 8].map((offset) => f32x4.splat(load("f32", at, offset)));
    f.store(at, f32.add(f32x4.lane(f32x4.madd(a, b, c), 0), 0), 12);
  });
  module.export("probe", f);
  return module.binary();
}

/** What this host provides. */
export function hostFeatures(): HostFeatures {
  return {
    simd: WebAssembly.validate(probe(false)),
    shared: typeof SharedArrayBuffer === "function" && WebAssembly.validate(probe(true)),
    cores: navigator.hardwareConcurrency,
  };
}

/**
 * Whether multiply-adds are fused, that is, rounded once. It is a property of the processor, and the one way in which results
 * differ between processors.
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
