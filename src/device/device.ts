// The narrow interface between graphs and the two devices that run them.
import type { Spec, Target, Values } from "../graph/tensor.ts";
import type { Graph, Plan } from "./plan.ts";

/** The kinds of device, and whether a run returns before the device is done. */
export const DEVICES = { webgpu: { asynchronous: true }, cpu: { asynchronous: false } };

/** A kind of device. */
export type DeviceKind = keyof typeof DEVICES;

/** What a device may be asked for as: a kind, or "auto" for the fastest. */
export const DEVICE_CHOICES: readonly ("auto" | DeviceKind)[] = [
  "auto",
  ...Object.keys(DEVICES) as DeviceKind[],
];

/** A graph made ready for a device: planned, compiled, bound.
 * @category Devices */
export interface Program extends Disposable {
  /** Its memory and its steps. */
  readonly plan: Plan;
  /** Uploads the inputs and starts one run; on a device that is asynchronous it returns before the device is done. */
  run(feeds?: Readonly<Record<string, Values>>): void;
  /** Copies outputs as they stand after the runs so far; the copies are ordered at once, before any later run. */
  read(names: readonly string[]): Promise<Values[]>;
}

/** Something that holds states and runs programs.
 * @category Devices */
export interface Device extends Disposable {
  /** Which of the two it is. */
  readonly kind: DeviceKind;
  /** The adapter's own name. */
  readonly adapter: string;
  /** True where a processor plays the GPU, and for the CPU. */
  readonly software: boolean;
  /** What kernels are lowered for; undefined on the CPU. */
  readonly target: Target | undefined;
  /** Makes a state (zeros, or `values`), or replaces the numbers of one that is there; throws at another shape. */
  define(name: string, spec: Spec, values?: Values): void;
  /** Copies states as they stand after the runs so far; the copies are ordered at once. */
  read(names: readonly string[]): Promise<Values[]>;
  /**
   * Throws a `UserError` where programs that are on the device together need more than it has: memory, buffers, bindings,
   * workgroups. Nothing is allocated or compiled.
   */
  check(plans: readonly Plan[]): void;
  /** Plans and compiles; states that do not exist yet are made as zeros. Throws at one that is there under another shape. */
  compile(graph: Graph): Promise<Program>;
}
