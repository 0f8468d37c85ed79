// heed beside jax-js on the same adapter, and jax-js on its WebAssembly backend: a product of 512 cubed.
import { blockUntilReady, defaultDevice, type Device as JaxDevice, init, numpy as np } from "@jax-js/jax";
import { matmul } from "../kernels/matmul/op.ts";
import type { Values } from "../src/graph/tensor.ts";
import {
  benchTable,
  callRunner,
  measure,
  mustAgree,
  openWebgpu,
  printTable,
  randomState,
  type Runner,
} from "./measure.ts";

const SIZE = 512;
const CALLS = 4;

/** A runner of jax-js's matrix product on one of its backends, from the operands' values. */
function jaxRunner(backend: JaxDevice, operands: readonly Values[]) {
  defaultDevice(backend);
  const [a, b] = operands.map((values) =>
    np.array(values as Float32Array<ArrayBuffer>).reshape([SIZE, SIZE])
  );
  let started = [np.matmul(a.ref, b.ref)];
  const settle = async (): Promise<void> => {
    await blockUntilReady(started);
    for (const done of started.splice(0, started.length - 1)) done.dispose();
  };
  const runner: Runner = {
    name: `jax-js ${backend}`,
    calls: CALLS,
    start() {
      defaultDevice(backend);
      // jax-js is lazy: waiting for the end of a chain starts all of it.
      let last = a.ref;
      for (let i = 0; i < CALLS; i++) last = np.matmul(last, b.ref);
      started = [...started, last];
    },
    settle,
  };
  return { runner, result: async () => [await started[0].ref.data() as Float32Array] };
}

async function table(): Promise<Runner> {
  const device = await openWebgpu();
  const spec = { shape: [SIZE, SIZE], dtype: "f32" } as const;
  const [a, b] = [randomState(device, "a", spec), randomState(device, "b", spec)];
  const operands = await device.read(["a", "b"]);
  const ours = await callRunner("heed", device, () => [matmul(a, b)]);
  const expected = await ours.results();
  const backends = await init("webgpu", "wasm");
  const jax = (["webgpu", "wasm"] as const).map((backend) => {
    if (!backends.includes(backend)) throw new Error(`jax-js has no ${backend} backend here.`);
    return jaxRunner(backend, operands);
  });
  for (const { runner, result } of jax) mustAgree(runner.name, await result(), expected);
  const timings = await measure([ours, ...jax.map(({ runner }) => runner)]);
  printTable("matmul", [{ shape: `${SIZE} cubed`, flops: 2 * SIZE ** 3, timings }]);
  return ours;
}

benchTable("jax-js", table);
