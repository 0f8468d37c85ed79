// The WebGPU device: compiles the dispatches of a plan into pipelines and bind groups once, then runs a step as one
// upload of its inputs, one compute pass and one submit. See webgpu.md's facts where a line looks odd.
import { show, sizeOf, type Spec, type Target, type Values } from "../graph/tensor.ts";
import { UserError } from "../errors.ts";
import type { Device, Program } from "./device.ts";
import { type Buffer, type Graph, type Place, type Plan, plan, type Step } from "./plan.ts";
import { bindingsOf, shaderOf } from "./wgsl.ts";

interface Dispatchable {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** The adapter that WebGPU offers, or undefined where there is none. */
export async function findAdapter(): Promise<GPUAdapter | undefined> {
  // Without this wgpu may take a GL software adapter; it is read when the first adapter is asked for.
  if (Deno.build.os === "linux") Deno.env.set("DENO_WEBGPU_BACKEND", "vulkan");
  return await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? undefined;
}

/** True where the adapter is a program that plays the GPU on the processor. */
export function isSoftware(adapter: GPUAdapter): boolean {
  return adapter.info.isFallbackAdapter ||
    /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(adapter.info.description);
}

/**
 * Opens the WebGPU device of an adapter.
 *
 * @param adapter from `findAdapter`
 * @param schedule which schedules kernels take; by default what suits the adapter. Tests ask for both.
 */
export async function webgpuDevice(adapter: GPUAdapter, schedule?: Target["kind"]): Promise<Device> {
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredLimits: {
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    },
  });
  const software = isSoftware(adapter);
  const target: Target = {
    kind: schedule ?? (software ? "software" : "gpu"),
    maxBindingBytes: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    maxWorkgroupBytes: limits.maxComputeWorkgroupStorageSize,
  };
  let failure: Error | undefined;
  device.addEventListener("uncapturederror", (event) => {
    failure ??= new Error(`WebGPU: ${(event as GPUUncapturedErrorEvent).error.message}`);
  });
  const check = (): void => {
    if (failure) throw failure;
  };
  const states = new Map<string, { buffer: GPUBuffer; spec: Spec }>();
  const pipelines = new Map<string, GPUComputePipeline>();
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

  const allocate = (label: string, bytes: number): GPUBuffer => {
    if (bytes > target.maxBindingBytes) {
      const mib = (n: number) => (n / 2 ** 20).toFixed(1);
      throw new UserError(
        `${label} needs ${mib(bytes)} MiB in one buffer, the limit of ${adapter.info.description} is ` +
          `${mib(target.maxBindingBytes)} MiB: use a smaller batch, context or model.`,
      );
    }
    return device.createBuffer({ label, size: bytes, usage });
  };
  const padded = (spec: Spec): number => Math.ceil(Math.max(sizeOf(spec), 1) / 64) * 256;

  const define = (name: string, spec: Spec, values?: Values): void => {
    let state = states.get(name);
    if (state && show(state.spec) !== show(spec)) {
      throw new Error(`State ${name} is ${show(state.spec)}, not ${show(spec)}.`);
    }
    const fresh = !state;
    if (!state) states.set(name, state = { buffer: allocate(name, padded(spec)), spec });
    if (values) device.queue.writeBuffer(state.buffer, 0, bytesOf(values, spec));
    else if (!fresh) device.queue.writeBuffer(state.buffer, 0, new Uint8Array(padded(spec)));
  };

  const read = async (
    places: readonly { buffer: GPUBuffer; offset: number; spec: Spec }[],
  ): Promise<Values[]> => {
    if (places.length === 0) return [];
    const starts: number[] = [];
    let total = 0;
    for (const { spec } of places) {
      starts.push(total);
      total += padded(spec);
    }
    const staging = device.createBuffer({
      size: total,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = device.createCommandEncoder();
    places.forEach(({ buffer, offset, spec }, i) => {
      encoder.copyBufferToBuffer(buffer, 4 * offset, staging, starts[i], 4 * sizeOf(spec));
    });
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    check();
    const bytes = staging.getMappedRange();
    const values = places.map(({ spec }, i) => {
      const part = bytes.slice(starts[i], starts[i] + 4 * sizeOf(spec));
      return spec.dtype === "u32" ? new Uint32Array(part) : new Float32Array(part);
    });
    staging.unmap();
    staging.destroy();
    return values;
  };

  const pipelineOf = async (label: string, shader: string): Promise<GPUComputePipeline> => {
    const known = pipelines.get(shader);
    if (known) return known;
    device.pushErrorScope("validation");
    const entries = [...bindingsOf(shader)].map(([binding, access]): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: access === "read" ? "read-only-storage" : "storage" },
    }));
    const layout = device.createPipelineLayout({
      bindGroupLayouts: [device.createBindGroupLayout({ entries })],
    });
    const module = device.createShaderModule({ label, code: shader });
    const pipeline = device.createComputePipeline({ label, layout, compute: { module, entryPoint: "main" } });
    const error = await device.popErrorScope();
    if (error) throw new Error(`WGSL of ${label}: ${error.message}\n${numbered(shader)}`);
    pipelines.set(shader, pipeline);
    return pipeline;
  };

  const bind = async (step: Step, buffers: ReadonlyMap<Buffer, GPUBuffer>): Promise<Dispatchable[]> => {
    const ready: Dispatchable[] = [];
    for (const dispatch of step.lowered.dispatches) {
      const label = step.node.path ? `${dispatch.label} at ${step.node.path}` : dispatch.label;
      const places = new Map<number, Place>();
      for (const [binding, ref] of Object.entries(dispatch.bindings)) {
        if (!ref) continue;
        const [kind, index] = ref;
        const from = kind === "input" ? step.inputs : kind === "output" ? step.outputs : step.scratch;
        places.set(Number(binding), from[index]);
      }
      const shader = withoutConflicts(shaderOf(dispatch), places);
      const pipeline = await pipelineOf(label, shader);
      const entries = [...bindingsOf(shader).keys()].map((binding): GPUBindGroupEntry => {
        const place = places.get(binding);
        if (!place) throw new Error(`${label}: nothing is bound at ${binding}.`);
        const size = Math.ceil(place.size / 4) * 16;
        return { binding, resource: { buffer: buffers.get(place.buffer)!, offset: 4 * place.offset, size } };
      });
      const group = device.createBindGroup({ label, layout: pipeline.getBindGroupLayout(0), entries });
      ready.push({ label, pipeline, group, workgroups: dispatch.workgroups });
    }
    return ready;
  };

  const materialise = (planned: Plan): Map<Buffer, GPUBuffer> => {
    const buffers = new Map<Buffer, GPUBuffer>();
    for (const buffer of planned.buffers) {
      if (buffer.kind === "state") {
        if (!states.has(buffer.name)) define(buffer.name, buffer.spec);
        buffers.set(buffer, states.get(buffer.name)!.buffer);
        continue;
      }
      const made = allocate(buffer.name, 4 * buffer.size);
      buffers.set(buffer, made);
      if (buffer.value) device.queue.writeBuffer(made, 0, new Float32Array(buffer.size).fill(buffer.value));
    }
    return buffers;
  };

  const compile = async (graph: Graph): Promise<Program> => {
    const planned = plan(graph, target);
    const buffers = materialise(planned);
    const dispatches: Dispatchable[] = [];
    for (const step of planned.steps) dispatches.push(...await bind(step, buffers));
    check();
    const inputs = planned.buffers.filter((b) => b.kind === "input");
    return {
      plan: planned,
      run(feeds = {}) {
        check();
        for (const input of inputs) {
          const values = feeds[input.name];
          if (!values) throw new Error(`Input ${input.name} was not given.`);
          if (values.length !== sizeOf(input.spec)) {
            throw new Error(`Input ${input.name} has ${values.length} numbers.`);
          }
          device.queue.writeBuffer(buffers.get(input)!, 0, bytesOf(values, input.spec));
        }
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        for (const { pipeline, group, workgroups } of dispatches) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, group);
          pass.dispatchWorkgroups(...workgroups);
        }
        pass.end();
        device.queue.submit([encoder.finish()]);
      },
      read: (names) =>
        read(names.map((name) => {
          const { buffer, offset } = planned.outputs[name];
          return { buffer: buffers.get(buffer)!, offset, spec: graph.outputs![name] };
        })),
      [Symbol.dispose]() {
        for (const [buffer, made] of buffers) if (buffer.kind !== "state") made.destroy();
      },
    };
  };

  return {
    kind: "webgpu",
    adapter: adapter.info.description || adapter.info.vendor,
    software,
    target,
    define,
    read: (names) => read(names.map((name) => ({ ...states.get(name)!, offset: 0 }))),
    compile,
    [Symbol.dispose]() {
      for (const { buffer } of states.values()) buffer.destroy();
      device.destroy();
    },
  };
}

/** The bytes to upload: what the host holds in twice the precision is rounded. */
function bytesOf(values: Values, spec: Spec): Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  const fits = spec.dtype === "u32" ? values instanceof Uint32Array : values instanceof Float32Array;
  if (fits) return values as Float32Array<ArrayBuffer>;
  return spec.dtype === "u32" ? Uint32Array.from(values) : Float32Array.from(values);
}

/** WebGPU forbids one buffer read and written in a dispatch even where the ranges are apart; written twice it may be. */
function withoutConflicts(shader: string, places: ReadonlyMap<number, Place>): string {
  const access = bindingsOf(shader);
  const written = new Set(
    [...access].filter(([, a]) => a === "read_write").map(([b]) => places.get(b)?.buffer),
  );
  for (const [binding, mode] of access) {
    if (mode === "read" && written.has(places.get(binding)?.buffer)) {
      shader = shader.replace(
        new RegExp(`(@binding\\(${binding}\\)\\s*var<storage,\\s*)read(>)`),
        "$1read_write$2",
      );
    }
  }
  return shader;
}

const numbered = (text: string): string =>
  text.split("\n").map((row, i) => `${String(i + 1).padStart(4)} ${row}`).join("\n");
