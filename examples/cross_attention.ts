// Trains cross attention to copy: each query must attend to the memory row that equals it. Padding rows are masked.
// deno run -A examples/cross_attention.ts
import {
  elementwise,
  grad,
  graph,
  input,
  multiply,
  nn,
  randomStream,
  referenceDevice,
  scale,
  state,
  sumAll,
} from "../mod.ts";

const [BATCH, LENGTH, MEMORY, DIM, STEPS, RATE] = [4, 5, 7, 8, 60, 0.5];

const names = ["wq", "wk", "wv", "wo"].map((name) => `${name}.weight`);
const weights = Object.fromEntries(names.map((name) => [name, state(name, [DIM, DIM])]));
const x = input("x", [BATCH, LENGTH, DIM]);
const memory = input("memory", [BATCH, MEMORY, DIM]);
const valid = input("valid", [BATCH, MEMORY]);
const target = input("target", [BATCH, LENGTH, DIM]);

const y = nn.crossAttention(weights, x, memory, { heads: 2, keyPadding: valid });
const error = elementwise("y - t", { y, t: target });
const loss = scale(sumAll(multiply(error, error)), 1 / (BATCH * LENGTH * DIM));
const gradients = grad(loss, Object.values(weights));
const effects = Object.values(weights).map((w, i) =>
  graph.assign(w, elementwise(`w - ${RATE} * g`, { w, g: gradients[i] }))
);

using device = referenceDevice();
const random = randomStream(1, "cross attention");
const normal = (n: number) => Float32Array.from({ length: n }, () => random.normal());
for (const name of names) {
  device.define(name, { shape: [DIM, DIM], dtype: "f32" }, normal(DIM * DIM).map((w) => 0.5 * w));
}
using program = await device.compile({ outputs: { loss }, effects });

/** Returns a batch: each query and its target are one random row of the memory. Its last two rows are padding, never chosen. */
function batch() {
  const rows = normal(BATCH * MEMORY * DIM);
  const chosen = Array.from(
    { length: BATCH * LENGTH },
    (_, n) => Math.floor(n / LENGTH) * MEMORY + random.below(MEMORY - 2),
  );
  const queries = Float32Array.from(chosen.flatMap((row) => [...rows.subarray(row * DIM, (row + 1) * DIM)]));
  const padding = Float32Array.from({ length: BATCH * MEMORY }, (_, n) => n % MEMORY < MEMORY - 2 ? 1 : 0);
  return { x: queries, memory: rows, valid: padding, target: queries };
}

for (let step = 0; step < STEPS; step++) {
  program.run(batch());
  if (step % 20 > 0 && step < STEPS - 1) continue;
  const [[value]] = await program.read(["loss"]);
  console.log(`step ${step}: loss ${value.toFixed(4)}`);
}
