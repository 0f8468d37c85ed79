// Causal attention, forward and backward, softmax and sigmoid: at the shape of nanoGPT's CPU configuration and at a
// context of 1024.
import { attention, attentionOp } from "../kernels/attention/op.ts";
import { referenceDevice } from "../src/device/reference.ts";
import type { Device } from "../src/device/device.ts";
import type { Node, Tensor } from "../src/graph/tensor.ts";
import {
  benchTable,
  callRunner,
  measure,
  mustAgree,
  openWebgpu,
  printTable,
  randomState,
  type Row,
  type Runner,
  stored,
} from "./measure.ts";
import { naiveAttention, naiveAttentionGradient } from "./naive_attention.ts";

type Activation = "softmax" | "sigmoid";

const SHAPES = [[12, 64, 4, 32], [2, 1024, 4, 32]] as const;

/** Multiply-adds of the visible half, two operations each; two products in the forward pass, five in the backward pass. */
function operations([B, T, H, D]: readonly number[], products: number): number {
  return 2 * products * B * H * D * T * (T + 1) / 2;
}

function operands(device: Device, shape: readonly number[]): Tensor[] {
  return ["q", "k", "v", "dz"].map((name) => {
    return randomState(device, `${name} ${shape}`, { shape, dtype: "f32" });
  });
}

/** The gradient of heed's attention as a call, from the results of its forward pass on the device. */
async function gradientOf(device: Device, inputs: readonly Tensor[], activation: Activation) {
  const [q, k, v, dz] = inputs;
  const { node } = attention(q, k, v, { activation });
  const outputs = await stored(device, `forward ${activation} ${q.shape}`, node.outputs);
  const after: Node = { ...node, outputs };
  return () => attentionOp.vjp!(after, [dz], [true, true, true]) as Tensor[];
}

async function rows(
  shape: readonly number[],
  activation: Activation,
  webgpu: Device,
  reference: Device,
): Promise<{ row: Row; ours: Runner }[]> {
  const [device, host] = [webgpu, reference].map((d) => operands(d, shape));
  const forward = [
    await callRunner("heed", webgpu, () => [attention(device[0], device[1], device[2], { activation })]),
    await callRunner("naive", webgpu, () => [naiveAttention(device, activation)[0]]),
    await callRunner("reference", reference, () => [attention(host[0], host[1], host[2], { activation })]),
  ];
  const [, pattern] = await stored(
    webgpu,
    `naive ${activation} ${shape}`,
    naiveAttention(device, activation),
  );
  const backward = [
    await callRunner("heed", webgpu, await gradientOf(webgpu, device, activation)),
    await callRunner("naive", webgpu, () => [
      ...naiveAttentionGradient(device, device[3], pattern, activation),
    ]),
    await callRunner("reference", reference, await gradientOf(reference, host, activation)),
  ];
  const timed: { row: Row; ours: Runner }[] = [];
  for (const [what, runners, products] of [["forward", forward, 2], ["backward", backward, 5]] as const) {
    const name = `${activation} ${what} [${shape}]`;
    const expected = await runners[2].results();
    for (const runner of runners.slice(0, 2)) {
      mustAgree(`${runner.name} ${name}`, await runner.results(), expected);
    }
    const row = { shape: name, flops: operations(shape, products), timings: await measure(runners) };
    timed.push({ row, ours: runners[0] });
  }
  return timed;
}

async function table(): Promise<Runner> {
  const webgpu = await openWebgpu();
  const reference = referenceDevice();
  const timed: { row: Row; ours: Runner }[] = [];
  for (const shape of SHAPES) {
    for (const activation of ["softmax", "sigmoid"] as const) {
      timed.push(...await rows(shape, activation, webgpu, reference));
    }
  }
  printTable("attention [B, T, H, d]", timed.map(({ row }) => row));
  return timed.at(-1)!.ours;
}

benchTable("attention", table);
