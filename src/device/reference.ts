// The reference device: runs the TypeScript implementation of each operation on typed arrays, which is slow but follows the
// formulas directly. With float64 it is the oracle of every test; float32 shows the effect of a GPU's rounding.
import type { Spec, Values } from "../graph/tensor.ts";
import { sizeOf } from "../graph/tensor.ts";
import { UserError } from "../base/errors.ts";
import type { Device, Program } from "./device.ts";
import { checkMemory, thisMachine } from "./machine.ts";
import { type Buffer, type BufferSlice, type Graph, type Plan, plan } from "./plan.ts";
import { checkFeeds, checkLength, checkState, entryOf } from "./checks.ts";

/** Options of the reference device. */
export interface ReferenceOptions {
  /** Arithmetic of f32 tensors: f32 as on a GPU, or f64. Default: "f32". */
  readonly precision?: "f32" | "f64";
  /** Maximum memory for states and programs, in bytes. Default: the machine's memory, or no limit without permission to query it. */
  readonly memory?: number;
}

/** The name that this device reports. */
export const REFERENCE_NAME = "Reference (TypeScript)";

/** True if the device name in a checkpoint or log is that of the reference device, or "CPU (TypeScript)", its former name. */
export function isReference(adapter: string): boolean {
  return adapter === REFERENCE_NAME || adapter === "CPU (TypeScript)";
}

interface State {
  readonly spec: Spec;
  /** Its values, padded to a multiple of 64 elements, as in the plan. */
  readonly values: Values;
}

interface Held {
  readonly precision: "f32" | "f64";
  readonly memory: number;
  readonly states: Map<string, State>;
}

function allocate({ precision }: Held, size: number, spec: Spec): Values {
  const Values = spec.dtype === "u32" ? Uint32Array : precision === "f64" ? Float64Array : Float32Array;
  try {
    return new Values(size);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(`An array of ${size} values is more than the system provides: use smaller sizes.`);
  }
}

/** Throws if the existing states and the programs together need more memory than the machine has. */
function check({ precision, memory, states }: Held, plans: readonly Plan[]): void {
  const bytesOf = (spec: Spec, size: number) => (spec.dtype === "f32" && precision === "f64" ? 8 : 4) * size;
  const held = new Map([...states].map(([name, { spec }]) => [name, bytesOf(spec, padded(spec))]));
  let bytes = 0;
  for (const { kind, name, spec, size } of plans.flatMap(({ buffers }) => buffers)) {
    if (kind === "state") held.set(name, bytesOf(spec, size));
    else bytes += bytesOf(kind === "arena" ? { shape: [], dtype: "f32" } : spec, size);
  }
  for (const size of held.values()) bytes += size;
  checkMemory(plans.length === 1 ? "a program on the CPU" : "the run on the CPU", bytes, { memory });
}

const padded = (spec: Spec): number => Math.ceil(Math.max(sizeOf(spec), 1) / 64) * 64;

function define(device: Held, name: string, spec: Spec, values?: Values): State {
  if (values) checkLength(`State ${name}`, values, spec);
  let state = device.states.get(name);
  if (state) checkState(name, state.spec, spec);
  else device.states.set(name, state = { spec, values: allocate(device, padded(spec), spec) });
  if (values) state.values.set(values);
  else state.values.fill(0);
  return state;
}

function bufferArray(device: Held, buffer: Buffer): Values {
  if (buffer.kind === "state") {
    return (device.states.get(buffer.name) ?? define(device, buffer.name, buffer.spec)).values;
  }
  const arena: Spec = { shape: [], dtype: "f32" };
  const array = allocate(device, buffer.size, buffer.kind === "arena" ? arena : buffer.spec);
  if (buffer.data) array.set(buffer.data);
  return buffer.value === undefined ? array : array.fill(buffer.value);
}

/** Returns a function that maps a slice of memory to a part of an array; each buffer of a plan has one array. */
function arraysOf(device: Held, { buffers }: Plan): (place: BufferSlice, spec: Spec) => Values {
  const arrays = new Map(buffers.map((buffer) => [buffer, bufferArray(device, buffer)]));
  return ({ buffer, offset, size }, spec) => {
    const array = arrays.get(buffer)!;
    if (spec.dtype === "f32" || array instanceof Uint32Array) return array.subarray(offset, offset + size);
    // Integers take four bytes each, also in an arena of float64, so that a view of a part reads the elements of its tensor.
    return new Uint32Array(array.buffer, array.byteOffset + 4 * offset, size);
  };
}

function compile(device: Held, graph: Graph): Program {
  const planned = plan(graph);
  check(device, [planned]);
  for (const { kind, name, spec } of planned.buffers) {
    const held = kind === "state" ? device.states.get(name) : undefined;
    if (held) checkState(name, held.spec, spec);
  }
  const arrayOf = arraysOf(device, planned);
  const calls = planned.steps.map(({ node, call, inputs, outputs }) => {
    const from = inputs.map((place, i) => arrayOf(place, node.inputs[i]));
    const to = outputs.map((place, i) => arrayOf(place, node.outputs[i]));
    return () => node.op.cpu(from, to, call);
  });
  const inputs = planned.buffers.filter((b) => b.kind === "input");
  const uploads = inputs.map((buffer) => {
    return arrayOf({ buffer, offset: 0, size: sizeOf(buffer.spec) }, buffer.spec);
  });
  const readable = new Map(
    Object.entries(planned.outputs).map(([name, place]) => [name, arrayOf(place, graph.outputs![name])]),
  );
  let closed = false;
  const checkOpen = (): void => {
    if (closed) throw new Error("This program is closed.");
  };
  return {
    plan: planned,
    run(feeds = {}) {
      checkOpen();
      checkFeeds(inputs, feeds);
      inputs.forEach(({ name }, i) => uploads[i].set(feeds[name]));
      for (const call of calls) call();
    },
    // The function is async so that an unknown name rejects the promise; the values are copied before the function returns.
    // deno-lint-ignore require-await
    async read(names) {
      checkOpen();
      return names.map((name) => entryOf("output of this program", readable, name).slice());
    },
    [Symbol.dispose]() {
      closed = true;
    },
  };
}

/**
 * Opens the reference device.
 *
 * @example
 * ```ts
 * import { referenceDevice } from "./reference.ts";
 * using device = referenceDevice({ precision: "f64" });
 * device.define("x", { shape: [2], dtype: "f32" }, Float64Array.of(1, 2));
 * ```
 * @category Devices
 */
export function referenceDevice(
  { precision = "f32", memory = thisMachine().memory }: ReferenceOptions = {},
): Device {
  const device: Held = { precision, memory, states: new Map() };
  return {
    kind: "reference",
    adapter: REFERENCE_NAME,
    software: true,
    target: undefined,
    define: (name, spec, values) => void define(device, name, spec, values),
    // deno-lint-ignore require-await
    read: async (names) =>
      names.map((name) => {
        const { values, spec } = entryOf("state", device.states, name);
        return values.slice(0, sizeOf(spec));
      }),
    plan: (graph) => plan(graph),
    check: (plans) => check(device, plans),
    // deno-lint-ignore require-await
    compile: async (graph) => compile(device, graph),
    [Symbol.dispose]: () => device.states.clear(),
  };
}
