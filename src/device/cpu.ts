// The CPU device: runs the kernels' plain TypeScript halves over typed arrays. With float64 it is the oracle of every
// test; with float32 it is what heed trains on where there is no adapter.
import type { Spec, Values } from "../graph/tensor.ts";
import { sizeOf } from "../graph/tensor.ts";
import type { Device, Program } from "./device.ts";
import { type Buffer, type Graph, type Place, plan } from "./plan.ts";

/** Options of the CPU device. */
export interface CpuOptions {
  /** Arithmetic of f32 tensors: as on a GPU, or twice as precise. */
  readonly precision?: "f32" | "f64";
}

/**
 * Opens the CPU device.
 *
 * @example
 * ```ts
 * import { cpuDevice } from "./cpu.ts";
 * using device = cpuDevice({ precision: "f64" });
 * device.define("x", { shape: [2], dtype: "f32" }, Float64Array.of(1, 2));
 * ```
 */
export function cpuDevice({ precision = "f32" }: CpuOptions = {}): Device {
  const states = new Map<string, Values>();
  const allocate = (size: number, spec: Spec): Values => {
    if (spec.dtype === "u32") return new Uint32Array(size);
    return precision === "f64" ? new Float64Array(size) : new Float32Array(size);
  };
  const padded = (spec: Spec): number => Math.ceil(Math.max(sizeOf(spec), 1) / 64) * 64;

  const define = (name: string, spec: Spec, values?: Values): void => {
    if (!states.has(name)) states.set(name, allocate(padded(spec), spec));
    const target = states.get(name)!;
    target.fill(0);
    if (values) target.set(values);
    sizes.set(name, sizeOf(spec));
  };
  const sizes = new Map<string, number>();

  const compile = (graph: Graph): Program => {
    const planned = plan(graph);
    const arrays = new Map<Buffer, Values>();
    const arrayOf = (place: Place, spec: Spec): Values => {
      const { buffer, offset, size } = place;
      let array = arrays.get(buffer);
      if (!array) {
        if (buffer.kind === "state") {
          if (!states.has(buffer.name)) define(buffer.name, buffer.spec);
          array = states.get(buffer.name)!;
        } else {
          array = allocate(buffer.size, buffer.kind === "arena" ? { shape: [], dtype: "f32" } : buffer.spec);
          if (buffer.value !== undefined) array.fill(buffer.value);
        }
        arrays.set(buffer, array);
      }
      const part = array.subarray(offset, offset + size);
      if (spec.dtype === "u32" && !(part instanceof Uint32Array)) {
        return new Uint32Array(part.buffer, part.byteOffset, size);
      }
      return part;
    };
    const calls = planned.steps.map(({ node, call, inputs, outputs }) => {
      const from = inputs.map((place, i) => arrayOf(place, node.inputs[i]));
      const to = outputs.map((place, i) => arrayOf(place, node.outputs[i]));
      return () => node.op.cpu(from, to, call);
    });
    const inputs = new Map(
      planned.buffers.filter((b) => b.kind === "input").map((
        b,
      ) => [b.name, arrayOf({ buffer: b, offset: 0, size: sizeOf(b.spec) }, b.spec)]),
    );
    const readable = new Map(
      Object.entries(planned.outputs).map(([name, place]) => [name, arrayOf(place, graph.outputs![name])]),
    );
    return {
      plan: planned,
      run(feeds = {}) {
        for (const [name, array] of inputs) {
          if (!feeds[name]) throw new Error(`Input ${name} was not given.`);
          array.set(feeds[name]);
        }
        for (const call of calls) call();
      },
      read: (names) => Promise.resolve(names.map((name) => readable.get(name)!.slice())),
      [Symbol.dispose]: () => arrays.clear(),
    };
  };

  return {
    kind: "cpu",
    adapter: "CPU (TypeScript)",
    software: true,
    target: undefined,
    define,
    read: (names) => Promise.resolve(names.map((name) => states.get(name)!.slice(0, sizes.get(name)))),
    compile: (graph) => Promise.resolve(compile(graph)),
    [Symbol.dispose]: () => states.clear(),
  };
}
