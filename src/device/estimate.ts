// How long work takes on the CPU and on a software adapter, before either has done any of it: from what its plans compute,
// move, start and compile, at rates measured once.
import { matmulOp } from "../../kernels/matmul/op.ts";
import { sizeOf, type Target } from "../graph/tensor.ts";
import { type Graph, type Plan, plan } from "./plan.ts";
import { shaderOf } from "./wgsl.ts";

/** A graph, and how often it is run. */
export interface Workload {
  /** What is computed. */
  readonly graph: Graph;
  /** Runs of it. */
  readonly runs: number;
  /** Waits of the host for its numbers. Default: none. */
  readonly reads?: number;
}

/** Seconds that a device takes for a unit of each thing. */
interface Rates {
  /** For a floating point operation of a matrix product. */
  readonly product: number;
  /** For one of any other operation, attention above all. */
  readonly other: number;
  /** For an element read or written, those of products left out. */
  readonly element: number;
  /** For a dispatch. */
  readonly dispatch: number;
  /** For a character of a shader that has not been compiled yet. */
  readonly character: number;
  /** For a wait until numbers are back. */
  readonly read: number;
}

/** Cores of the machine on which the software adapter was measured; it takes all there are. */
const CORES = 2;

/**
 * Fitted by bench/device_choice.ts to 32 steps and evaluations of 15 configurations: Deno 2.9.6, llvmpipe of Mesa 22.3.6 on two
 * cores. The fit's largest errors are 18% on the CPU and 17% on the adapter.
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

/** Seconds for one run of a plan. */
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
 * Seconds that work takes on the CPU and on a software adapter, compilation of shaders included:
 * the sum over operations of flops / rate + elements / rate, over dispatches, over distinct shaders, over waits.
 *
 * Transfers of inputs and what the host does itself (batches, statistics of captures, files) are left out: they are the same.
 *
 * @param target what kernels are lowered for on the software adapter
 * @param cores those of the machine
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
