// Computes a pre-LN encoder block (bidirectional self-attention, then an MLP, each after a LayerNorm) and the gradient of a
// loss.
// deno run -A examples/encoder_block.ts
import {
  add,
  elementwise,
  grad,
  input,
  layerNorm,
  linear,
  multiply,
  nn,
  randomStream,
  referenceDevice,
  state,
  sumAll,
  type Tensor,
} from "../mod.ts";

const [BATCH, LENGTH, DIM, HEADS] = [2, 6, 16, 4];

/** Shapes of the parameters by name; each parameter is a `state`, which stays on the device between runs. */
const shapes: Record<string, number[]> = {
  "wq.weight": [DIM, DIM],
  "wk.weight": [DIM, DIM],
  "wv.weight": [DIM, DIM],
  "wo.weight": [DIM, DIM],
  "fc.weight": [4 * DIM, DIM],
  "proj.weight": [DIM, 4 * DIM],
  "ln1.weight": [DIM],
  "ln2.weight": [DIM],
};
const p = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, state(name, shape)]));

function encoderBlock(x: Tensor): Tensor {
  const normed = layerNorm(x, p["ln1.weight"]);
  const attended = add(x, nn.multiHeadAttention(p, normed, normed, normed, { heads: HEADS }));
  const hidden = linear(layerNorm(attended, p["ln2.weight"]), p["fc.weight"]);
  return add(attended, linear(elementwise("h * sigmoid(1.702 * h)", { h: hidden }), p["proj.weight"]));
}

const y = encoderBlock(input("x", [BATCH, LENGTH, DIM]));
const loss = sumAll(multiply(y, y));
const [gradient] = grad(loss, [p["wq.weight"]]);

using device = referenceDevice();
const random = randomStream(1, "encoder");
for (const [name, shape] of Object.entries(shapes)) {
  const values = Float32Array.from(
    { length: shape.reduce((a, b) => a * b) },
    () => name.startsWith("ln") ? 1 : 0.2 * random.normal(),
  );
  device.define(name, { shape, dtype: "f32" }, values);
}
using program = await device.compile({ outputs: { y, loss, gradient } });
program.run({ x: Float32Array.from({ length: BATCH * LENGTH * DIM }, () => random.normal()) });
const [rows, [sum], slopes] = await program.read(["y", "loss", "gradient"]);
const norm = Math.hypot(...slopes);
console.log(`y: ${rows.length} elements, sum of squares ${sum.toFixed(3)}; |dL/dwq| = ${norm.toFixed(3)}`);
