// Programs of a WebGPU device: a plan's dispatches become pipelines and bind groups once; a run uploads the inputs,
// encodes one compute pass and submits it.
import { UserError } from "../base/errors.ts";
import type { Dispatch } from "../graph/tensor.ts";
import { reportProgress } from "../base/progress.ts";
import type { Program } from "./device.ts";
import {
  allocate,
  bytesOf,
  checkAlive,
  checkBinding,
  checkBuffer,
  defineState,
  type Gpu,
  guarded,
  readBack,
} from "./gpu_memory.ts";
import { type Buffer, type BufferSlice, type Graph, type Plan, plan, type Step } from "./plan.ts";
import { checkFeeds, checkState, entryOf } from "./checks.ts";
import { bindingsOf, shaderOf } from "./wgsl.ts";

/** A compiled dispatch, with the slice of memory for each of its bindings. */
interface Kernel {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly places: ReadonlyMap<number, BufferSlice>;
  readonly workgroups: readonly [number, number, number];
}

interface Bound {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

async function pipelineOf(
  { device, pipelines }: Gpu,
  label: string,
  shader: string,
): Promise<GPUComputePipeline> {
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
}

const labelOf = ({ node }: Step, { label }: Dispatch): string =>
  node.path ? `${label} at ${node.path}` : label;

/**
 * Returns the slice of memory for each binding of a dispatch. Throws if a binding or the number of workgroups exceeds the
 * adapter's limits.
 */
function placesOf(gpu: Gpu, step: Step, dispatch: Dispatch): Map<number, BufferSlice> {
  const label = labelOf(step, dispatch);
  const { workgroups } = dispatch;
  if (workgroups.some((n) => n > gpu.maxWorkgroups)) {
    throw new UserError(
      `${label} needs ${
        workgroups.join(" x ")
      } workgroups, the limit of ${gpu.name} is ${gpu.maxWorkgroups} in a ` +
        `dimension: use a smaller batch, context or model.`,
    );
  }
  const given = new Map<number, BufferSlice>();
  for (const [binding, ref] of Object.entries(dispatch.bindings)) {
    if (!ref) continue;
    const [kind, index, range] = ref;
    const from = kind === "input" ? step.inputs : kind === "output" ? step.outputs : step.scratch;
    const { buffer, offset } = from[index];
    const place = range ? { buffer, offset: offset + range.offset, size: range.size } : from[index];
    checkBinding(
      gpu,
      buffer.kind === "state" ? `${label}, which takes state ${buffer.name},` : label,
      4 * place.size,
    );
    given.set(Number(binding), place);
  }
  return given;
}

async function kernelOf(gpu: Gpu, step: Step, dispatch: Dispatch): Promise<Kernel> {
  const label = labelOf(step, dispatch);
  const given = placesOf(gpu, step, dispatch);
  const shader = withoutConflicts(shaderOf(dispatch), given);
  const pipeline = await pipelineOf(gpu, label, shader);
  const places = new Map([...bindingsOf(shader).keys()].map((binding) => {
    const place = given.get(binding);
    if (!place) throw new Error(`${label}: nothing is bound at ${binding}.`);
    return [binding, place];
  }));
  return { label, pipeline, places, workgroups: dispatch.workgroups };
}

function bind({ device }: Gpu, kernel: Kernel, buffers: ReadonlyMap<Buffer, GPUBuffer>): Bound {
  const { label, pipeline, places, workgroups } = kernel;
  const entries = [...places].map(([binding, { buffer, offset, size }]): GPUBindGroupEntry => ({
    binding,
    resource: { buffer: buffers.get(buffer)!, offset: 4 * offset, size: Math.ceil(size / 4) * 16 },
  }));
  const group = device.createBindGroup({ label, layout: pipeline.getBindGroupLayout(0), entries });
  return { pipeline, group, workgroups };
}

/** Resources of a program on the device; `newStates` are the names of the states that the program created. */
interface Held {
  readonly buffers: Map<Buffer, GPUBuffer>;
  readonly newStates: string[];
  bound: Bound[];
}

function materialise(gpu: Gpu, { buffers }: Plan, held: Held): void {
  for (const buffer of buffers) {
    if (buffer.kind === "state") {
      if (!gpu.states.has(buffer.name)) {
        held.newStates.push(buffer.name);
        defineState(gpu, buffer.name, buffer.spec);
      }
      held.buffers.set(buffer, gpu.states.get(buffer.name)!.buffer);
      continue;
    }
    const memory = allocate(gpu, buffer.name, 4 * buffer.size);
    held.buffers.set(buffer, memory);
    if (buffer.data) gpu.device.queue.writeBuffer(memory, 0, bytesOf(buffer.data, buffer.spec));
    if (buffer.value) {
      gpu.device.queue.writeBuffer(memory, 0, new Float32Array(buffer.size).fill(buffer.value));
    }
  }
}

function release({ buffers }: Held): void {
  for (const [buffer, memory] of buffers) if (buffer.kind !== "state") memory.destroy();
}

/** Checks a plan's buffers against existing states and the adapter's limits, before anything is allocated. */
function checkPlan(gpu: Gpu, { buffers }: Plan): void {
  for (const { kind, name, spec, size } of buffers) {
    const state = kind === "state" ? gpu.states.get(name) : undefined;
    if (state) checkState(name, state.spec, spec);
    // Kernels bind views of a state. The size of each view is checked when its kernel is compiled.
    (kind === "state" ? checkBuffer : checkBinding)(gpu, name, 4 * size);
  }
}

/** Throws a `UserError` if a program exceeds the adapter's limits: buffer size, binding size or workgroups. */
export function checkProgram(gpu: Gpu, planned: Plan): void {
  checkPlan(gpu, planned);
  for (const step of planned.steps) {
    for (const dispatch of step.lowered.dispatches) placesOf(gpu, step, dispatch);
  }
}

/**
 * Makes a software adapter compile the kernels now instead of during the first run. Such an adapter compiles a kernel when
 * it is first dispatched, even with 0 workgroups. A GPU's driver compiles pipelines when they are created.
 */
async function warmUp({ device, target, warm }: Gpu, bound: readonly Bound[]): Promise<void> {
  if (target.kind !== "software") return;
  const cold = new Map(
    bound.filter(({ pipeline }) => !warm.has(pipeline)).map(({ pipeline, group }) => [pipeline, group]),
  );
  let done = 0;
  for (const [pipeline, group] of cold) {
    reportProgress({ what: "compiling kernels", done: done++, total: cold.size });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(0);
    pass.end();
    device.queue.submit([encoder.finish()]);
    warm.add(pipeline);
    // Lets signals (Ctrl-C) be handled between two kernels: a submission returns only when its kernel is compiled.
    await new Promise((resume) => setTimeout(resume, 0));
  }
}

/** Plans and compiles a graph. If this fails, no buffer or new state of the program remains on the device. */
export async function compileProgram(gpu: Gpu, graph: Graph): Promise<Program> {
  checkAlive(gpu);
  const planned = plan(graph, gpu.target);
  checkPlan(gpu, planned);
  const kernels: Kernel[] = [];
  const total = planned.dispatches;
  const what = gpu.target.kind === "software" ? "preparing kernels" : "compiling kernels";
  for (const step of planned.steps) {
    for (const dispatch of step.lowered.dispatches) {
      reportProgress({ what, done: kernels.length, total });
      kernels.push(await kernelOf(gpu, step, dispatch));
    }
  }
  // States may have been defined while kernels were compiled.
  checkPlan(gpu, planned);
  const held: Held = { buffers: new Map(), newStates: [], bound: [] };
  try {
    const bytes = Object.values(planned.memory).reduce((a, b) => a + b, 0);
    const error = await guarded(gpu, "This program's memory", bytes, () => {
      materialise(gpu, planned, held);
      held.bound = kernels.map((kernel) => bind(gpu, kernel, held.buffers));
    });
    if (error) throw error;
    await warmUp(gpu, held.bound);
    checkAlive(gpu);
  } catch (error) {
    release(held);
    for (const name of held.newStates) {
      gpu.states.get(name)?.buffer.destroy();
      gpu.states.delete(name);
    }
    throw error;
  }
  return programOf(gpu, graph, planned, held);
}

function programOf(gpu: Gpu, graph: Graph, planned: Plan, held: Held): Program {
  const { device } = gpu;
  const inputs = planned.buffers.filter((b) => b.kind === "input");
  const outputs = new Map(Object.entries(planned.outputs));
  let closed = false;
  const checkOpen = (): void => {
    checkAlive(gpu);
    if (closed) throw new Error("This program is closed.");
  };
  return {
    plan: planned,
    run(feeds = {}) {
      checkOpen();
      checkFeeds(inputs, feeds);
      for (const input of inputs) {
        device.queue.writeBuffer(held.buffers.get(input)!, 0, bytesOf(feeds[input.name], input.spec));
      }
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { pipeline, group, workgroups } of held.bound) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...workgroups);
      }
      pass.end();
      device.queue.submit([encoder.finish()]);
    },
    async read(names) {
      checkOpen();
      const places = names.map((name) => {
        const { buffer, offset } = entryOf("output of this program", outputs, name);
        return { buffer: held.buffers.get(buffer)!, offset, spec: graph.outputs![name] };
      });
      return await readBack(gpu, places);
    },
    [Symbol.dispose]() {
      closed = true;
      release(held);
    },
  };
}

/**
 * Makes a readable binding writable if the dispatch also writes to the same buffer through another binding. WebGPU forbids
 * a readable and a writable binding of one buffer, even of disjoint ranges, but allows two writable ones.
 */
function withoutConflicts(shader: string, places: ReadonlyMap<number, BufferSlice>): string {
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
