// Estimates how long work takes on the CPU and on a software adapter, before either runs it: from the operations,
// elements, dispatches and shaders of its plans, at rates measured once.
import { matmulOp } from "../../kernels/matmul/op.ts";
import { sizeOf, type Target } from "../graph/tensor.ts";
import { type Graph, type Plan, plan } from "./plan.ts";
import { shaderOf } from "./wgsl.ts";

/** A graph, and the number of times that it runs. */
export interface Workload {
  /** The graph to compute. */
  readonly graph: Graph;
  /** Number of runs. */
  readonly runs: number;
  /** Number of times that the host waits for results. Default: 0. */
  readonly reads?: number;
}

/** Seconds that a device takes per unit of each kind of work. */
interface Rates {
  /** Per floating point operation of a matrix product. */
  readonly product: number;
  /** Per floating point operation of any other operation, mainly attention. */
  readonly other: number;
  /** Per element read or written, except by matrix products. */
  readonly element: number;
  /** Per dispatch. */
  readonly dispatch: number;
  /** Per character of a shader not yet compiled. */
  readonly character: number;
  /** Per wait of the host for results. */
  readonly read: number;
}

/** Cores of the machine on which the software adapter was measured; it uses all cores. */
const CORES = 2;

/**
 * Fitted by bench/device_choice.ts to 32 steps and evaluations of 15 configurations: Deno 2.9.6, llvmpipe of Mesa 22.3.6,
 * two cores. The fit's largest errors are 18% on the CPU and 17% on the adapter.
 */
const RATES: Readonly<Record<"cpu" | "software", Rates>> = {
  cpu: { product: 1 / 7.4e9, other: 1 / 1.1e9, element: 1 / 141e6, dispatch: 0, character: 0, read: 0 },
  software: {
    product: 1 / 32e9,
    other: 1 / 21e9,
    element: 1 / 1.6e9,
    dispatch: 135e-6,
    character: 23e-6,
    read: 10e-3,
  },
};

/** Seconds per run of a plan. */
function secondsOf({ steps }: Plan, rates: Rates, cores: number): number {
  let [computing, dispatches] = [0, 0];
  for (const { node, call, lowered } of steps) {
    const flops = node.op.flops?.(call) ?? 0;
    dispatches += lowered.dispatches.length;
    if (node.op === matmulOp) {
      computing += flops * rates.product;
      continue;
    }
    const elements = [...call.inputs, ...call.outputs.filter((_, i) => call.needed[i])];
    computing += flops * rates.other + elements.reduce((sum, x) => sum + sizeOf(x), 0) * rates.element;
  }
  return computing / cores + dispatches * rates.dispatch;
}

/**
 * Seconds that work takes on the CPU and on a software adapter, shader compilation included: operations, elements,
 * dispatches, characters of distinct shaders and waits, each times its rate.
 *
 * Uploads and the host's work (batches, statistics of captures, files) are the same on both devices and left out.
 *
 * @param target the software adapter's target
 * @param cores processor cores of the machine
 *
 * @example
 * ```ts
 * import { input, matmul } from "../../mod.ts";
 * import { estimateSeconds } from "./mod.ts";
 * const x = input("x", [512, 512]);
 * const target = { kind: "software", maxBindingBytes: 2 ** 27, maxWorkgroupBytes: 2 ** 15 } as const;
 * const { cpu, software } = estimateSeconds([{ graph: { outputs: { y: matmul(x, x) } }, runs: 100 }], target);
 * console.log(cpu > software); // true
 * ```
 */
export function estimateSeconds(
  work: readonly Workload[],
  target: Target,
  cores: number = navigator.hardwareConcurrency,
): { cpu: number; software: number } {
  const shaders = new Set<string>();
  let [cpu, software] = [0, 0];
  for (const { graph, runs, reads = 0 } of work) {
    if (runs === 0) continue;
    cpu += runs * secondsOf(plan(graph), RATES.cpu, 1);
    const planned = plan(graph, target);
    for (const dispatch of planned.steps.flatMap(({ lowered }) => lowered.dispatches)) {
      shaders.add(shaderOf(dispatch));
    }
    software += runs * secondsOf(planned, RATES.software, cores / CORES) + reads * RATES.software.read;
  }
  for (const shader of shaders) software += shader.length * RATES.software.character;
  return { cpu, software };
}
