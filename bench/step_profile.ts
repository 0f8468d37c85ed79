// Profile of a training step: every operation of its plan is timed alone, by running it many times on separate tensors.
// `deno run -A bench/step_profile.ts [configuration]`
import { loadConfig } from "../src/config/mod.ts";
import type { Device } from "../src/device/device.ts";
import type { Step } from "../src/device/plan.ts";
import { recordOp } from "../src/graph/structure.ts";
import { apply, formatSpec, type Spec, type Tensor } from "../src/graph/tensor.ts";
import { callRunner, measure, openWebgpu, printColumns, randomState } from "./measure.ts";
import { trainingStep, VOCABULARY } from "./training_step.ts";

/** A call of the step's operation on states of its inputs' shapes; the next call reads its in-place results. */
function callOf({ node, call }: Step, device: Device): (turn: number) => Tensor[] {
  const given = node.inputs.map((x, i) => {
    const below = node.op === recordOp ? 1 : VOCABULARY;
    return randomState(device, `${node.op.name} ${i} ${formatSpec(x)}`, x, below);
  });
  let inputs = given;
  return (turn) => {
    if (turn === 0) inputs = given;
    const outputs = apply(node.op, inputs, node.attrs);
    inputs = [...inputs];
    for (const [to, from] of Object.entries(node.op.inplace ?? {})) inputs[from] = outputs[Number(to)];
    return outputs.filter((_, i) => call.needed[i]);
  };
}

const shapes = (specs: readonly Spec[]): string => specs.map((x) => x.shape.join("x")).join(" ");

/** A key shared by steps of equal cost. */
function kindOf({ node, call, lowered }: Step): string {
  const { activation, transA, transB, addend, name } = (call.attrs ?? {}) as Record<string, unknown>;
  const options = [activation, transA && "TA", transB && "TB", addend && "addend", name];
  const label = lowered.dispatches[0]?.label ?? node.op.name;
  return `${label} ${options.filter((x) => x && x !== label).join(" ")} (${shapes(call.inputs)})`;
}

const config = await loadConfig(Deno.args[0] ?? "nanogpt_cpu", []);
using device = await openWebgpu();
const { graph } = trainingStep(config).step;
const kinds = new Map<string, Step[]>();
for (const step of device.plan(graph).steps) {
  if (step.lowered.dispatches.length === 0) continue;
  kinds.set(kindOf(step), [...kinds.get(kindOf(step)) ?? [], step]);
}
const timed: { kind: string; count: number; ms: number; flops: number }[] = [];
for (const [kind, steps] of kinds) {
  const runner = await callRunner(kind, device, callOf(steps[0], device));
  const [{ ms }] = await measure([runner]);
  timed.push({ kind, count: steps.length, ms, flops: steps[0].node.op.flops?.(steps[0].call) ?? 0 });
}
timed.sort((a, b) => b.count * b.ms - a.count * a.ms);
const total = timed.reduce((sum, { count, ms }) => sum + count * ms, 0);
printColumns(
  ["operation (inputs)", "times", "ms each", "ms per step", "share", "GFLOP/s"],
  timed.map(({ kind, count, ms, flops }) => [
    kind,
    String(count),
    ms.toFixed(3),
    (count * ms).toFixed(1),
    `${(100 * count * ms / total).toFixed(1)}%`,
    flops ? (flops / ms / 1e6).toFixed(1) : "",
  ]),
);
console.log(`${total.toFixed(0)} ms in total, each operation timed alone.`);
