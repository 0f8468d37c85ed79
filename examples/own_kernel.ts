// Defines a custom operation, y = x^3, with WGSL, a TypeScript reference and a gradient; runs it on the reference device and a GPU.
// deno run -A examples/own_kernel.ts
import {
  apply,
  findAdapter,
  grad,
  graph,
  input,
  multiply,
  type Op,
  referenceDevice,
  scale,
  sumAll,
  webgpuDevice,
} from "../mod.ts";

const cubeOp: Op = {
  name: "cube",
  infer: ([x]) => x.dtype === "f32" ? [x] : graph.mismatch("cube", "a tensor of type f32", [x]),
  lower: ({ inputs: [x] }) => ({
    dispatches: [{
      label: "cube",
      source: `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
//! each i in 0..SIZE
  y[i] = x[i] * x[i] * x[i];
//! end`,
      constants: { SIZE: graph.sizeOf(x) },
      bindings: { 0: ["input", 0], 1: ["output", 0] },
      workgroups: graph.workgroups1d(graph.sizeOf(x), 64),
    }],
  }),
  cpu([x], [y]) {
    for (let i = 0; i < y.length; i++) y[i] = x[i] ** 3;
  },
  // dx = 3 x^2 dy, composed of operations that run on every device.
  vjp: ({ inputs: [x] }, [dy]) => [multiply(scale(multiply(x, x), 3), dy!)],
};

const x = input("x", [5]);
const [y] = apply(cubeOp, [x], undefined);
const [dx] = grad(sumAll(y), [x]);
const values = Float32Array.of(-2, -0.5, 0, 1, 3);

const adapter = await findAdapter();
for (const device of [referenceDevice(), ...(adapter ? [await webgpuDevice(adapter)] : [])]) {
  using program = await device.compile({ outputs: { y, dx } });
  program.run({ x: values });
  const [cubes, gradients] = await program.read(["y", "dx"]);
  console.log(device.kind, "y", [...cubes].join(" "), "dx", [...gradients].join(" "));
  values.forEach((value, i) => {
    const difference = ((value + 1e-3) ** 3 - (value - 1e-3) ** 3) / 2e-3;
    if (Math.abs(gradients[i] - difference) > 1e-4) {
      throw new Error(`dx[${i}] is ${gradients[i]}, not ${difference}`);
    }
  });
  device[Symbol.dispose]();
}
