// Matrix products at the shapes of nanoGPT's CPU configuration, forward and backward, and at 1024 cubed.
import { matmul } from "../kernels/matmul/op.ts";
import { referenceDevice } from "../src/device/reference.ts";
import type { Device } from "../src/device/device.ts";
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
} from "./measure.ts";
import { naiveMatmul } from "./naive_matmul.ts";

interface Product {
  readonly what: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transA?: boolean;
  readonly transB?: boolean;
}

// Rows are the batch times the context, 12 x 64; weights are stored [out, in].
const PRODUCTS: readonly Product[] = [
  { what: "mlp.fc", M: 768, N: 512, K: 128, transB: true },
  { what: "mlp.proj", M: 768, N: 128, K: 512, transB: true },
  { what: "attn.wq", M: 768, N: 128, K: 128, transB: true },
  { what: "dX of mlp.fc", M: 768, N: 128, K: 512 },
  { what: "dX of mlp.proj", M: 768, N: 512, K: 128 },
  { what: "dX of attn.wq", M: 768, N: 128, K: 128 },
  { what: "dW of mlp.fc", M: 512, N: 128, K: 768, transA: true },
  { what: "dW of mlp.proj", M: 128, N: 512, K: 768, transA: true },
  { what: "dW of attn.wq", M: 128, N: 128, K: 768, transA: true },
  { what: "cube", M: 1024, N: 1024, K: 1024 },
];

const letter = (transposed?: boolean): string => transposed ? "T" : "N";

async function row(
  product: Product,
  webgpu: Device,
  reference: Device,
): Promise<{ row: Row; ours: Runner }> {
  const { what, M, N, K, transA, transB } = product;
  const shape = `${what} ${M}x${N}x${K} ${letter(transA)}${letter(transB)}`;
  const call = (device: Device, multiply: typeof matmul) => {
    const a = randomState(device, `a ${shape}`, { shape: transA ? [K, M] : [M, K], dtype: "f32" });
    const b = randomState(device, `b ${shape}`, { shape: transB ? [N, K] : [K, N], dtype: "f32" });
    return () => [multiply(a, b, { transA, transB })];
  };
  const runners = [
    await callRunner("heed", webgpu, call(webgpu, matmul)),
    await callRunner("naive", webgpu, call(webgpu, naiveMatmul)),
    await callRunner("reference", reference, call(reference, matmul)),
  ];
  const expected = await runners[2].results();
  for (const runner of runners.slice(0, 2)) {
    mustAgree(`${runner.name} ${shape}`, await runner.results(), expected);
  }
  const timings = await measure(runners);
  return { row: { shape, flops: 2 * M * N * K, timings }, ours: runners[0] };
}

async function table(): Promise<Runner> {
  const webgpu = await openWebgpu();
  const reference = referenceDevice();
  const measured: { row: Row; ours: Runner }[] = [];
  for (const product of PRODUCTS) measured.push(await row(product, webgpu, reference));
  printTable("matmul MxNxK", measured.map(({ row }) => row));
  return measured.at(-1)!.ours;
}

benchTable("matmul", table);
