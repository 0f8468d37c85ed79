// The interface between graphs and the devices that run them.
import type { Spec, Target, Values } from "../graph/tensor.ts";
import type { Graph, Plan } from "./plan.ts";

/** The kinds of device. `asynchronous` is true if `run` returns before the device has finished. */
export const DEVICES = {
  webgpu: { asynchronous: true },
  cpu: { asynchronous: false },
  reference: { asynchronous: false },
};

/** A kind of device. */
export type DeviceKind = keyof typeof DEVICES;

/** The names with which a device is requested: a kind of device, or "auto", which chooses one (see `chooseDevice`). */
export const DEVICE_CHOICES: readonly ("auto" | DeviceKind)[] = [
  "auto",
  ...Object.keys(DEVICES) as DeviceKind[],
];

/** A graph that is planned, compiled and bound for a device.
 * @category Devices */
export interface Program extends Disposable {
  /** The memory plan and the nodes to run. */
  readonly plan: Plan;
  /** Uploads the inputs and starts one run; on an asynchronous device it returns before the device has finished. */
  run(feeds?: Readonly<Record<string, Values>>): void;
  /**
   * Reads outputs by name. Their values are those after the runs so far, because the copies are queued before any later
   * run.
   */
  read(names: readonly string[]): Promise<Values[]>;
}

/** Holds states and runs programs.
 * @category Devices */
export interface Device extends Disposable {
  /** The kind of this device: `webgpu`, `cpu` or `reference`. */
  readonly kind: DeviceKind;
  /** The name that the adapter reports; for the CPU and the reference device, the name of the device. */
  readonly adapter: string;
  /** True for a GPU that the processor emulates, and for the CPU and the reference device. */
  readonly software: boolean;
  /** The description of the BLAS library that computes the matrix products of the CPU device, if it uses one. */
  readonly blas?: string;
  /** The target that kernels are lowered to; undefined for the CPU and the reference device. */
  readonly target: Target | undefined;
  /** Number of threads of the CPU device. */
  readonly threads?: number;
  /** The estimated number of seconds that the run takes on each device, if this device was chosen by measurements of both. */
  readonly estimates?: { readonly webgpu: number; readonly cpu: number };
  /** Creates a state (zeros, or `values`), or overwrites an existing one; throws if its shape differs. */
  define(name: string, spec: Spec, values?: Values): void;
  /** Reads states by name. Their values are those after the runs so far, because the copies are queued before any later run. */
  read(names: readonly string[]): Promise<Values[]>;
  /** Plans a graph for this device. */
  plan(graph: Graph): Plan;
  /**
   * Throws a `UserError` if programs that are on the device at the same time exceed its limits: the memory, the size of a
   * buffer or binding, or the number of workgroups. Nothing is allocated or compiled.
   */
  check(plans: readonly Plan[]): void;
  /** Plans and compiles a graph; creates missing states, zeroed. Throws if an existing state has another shape. */
  compile(graph: Graph): Promise<Program>;
}
