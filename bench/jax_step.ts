// A training step in jax-js on its WebAssembly backend: forward, backward, clipping and AdamW under one jit, with the weights
// and tokens of heed's step. The losses of two steps must equal the reference device's before anything is timed.
// `deno run -A --config bench/deno.json bench/jax_step.ts [configuration]` prints medians as JSON, as cpu_step.ts does.
import { blockUntilReady, defaultDevice, jit, nn, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { loadConfig } from "../src/config/mod.ts";
import { referenceDevice } from "../src/device/reference.ts";
import type { Values } from "../src/graph/tensor.ts";
import { initialise, readParameters } from "../src/model/layout.ts";
import { trainingStep, VOCABULARY } from "./training_step.ts";

const [ROUNDS, STEPS, WARM] = [5, 20, 5];

type Parameters = Record<string, np.Array>;

/** The parameters and the optimizer's moments. */
type State = { p: Parameters; m: Parameters; v: Parameters };

const config = await loadConfig(Deno.args[0] ?? "nanogpt_cpu", []);
const { model: { context: T, dim, layers, heads }, train: { batch: B } } = config;
const { betas: [beta1, beta2], eps, weight_decay, clip } = config.optimizer;
const { step: { graph, table }, layout, feedsOf } = trainingStep(config);
const decayed = new Set(layout.slots.filter((slot) => slot.decayed).map(({ name }) => name));

const linear = (x: np.Array, weight: np.Array) => np.matmul(x, weight.transpose());
const norm = (x: np.Array, weight: np.Array) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(weight);

/** Causal softmax attention, [B T, dim]: faster here than nn.dotProductAttention. */
function attention(q: np.Array, k: np.Array, v: np.Array): np.Array {
  const [Q, K, V] = [q, k, v].map((x) => x.reshape([B, T, heads, dim / heads]).transpose([0, 2, 1, 3]));
  const scores = np.matmul(Q, K.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(dim / heads));
  const visible = np.tri(T, T, 0, { dtype: np.bool });
  const pattern = nn.softmax(np.where(visible, scores, -Infinity));
  return np.matmul(pattern, V).transpose([0, 2, 1, 3]).reshape([B * T, dim]);
}

/** Mean loss of a batch. As everywhere in jax-js, an argument is consumed unless `.ref` is passed. */
function lossOf(p: Parameters, ids: np.Array, targets: np.Array): np.Array {
  const weight = (name: string) => p[`${name}.weight`];
  const embed = weight("embed");
  const embedded = np.matmul(nn.oneHot(ids, VOCABULARY), embed.ref).reshape([B, T, dim]);
  let x = embedded.add(weight("pos_embed")).reshape([B * T, dim]);
  for (let n = 0; n < layers; n++) {
    const own = (name: string) => weight(`blocks.${n}.${name}`);
    const y = norm(x.ref, own("ln1"));
    const [q, k, v] = ["wq", "wk", "wv"].map((name) => linear(y.ref, own(`attn.${name}`)));
    y.dispose();
    x = x.add(linear(attention(q, k, v), own("attn.wo")));
    const hidden = linear(norm(x.ref, own("ln2")), own("mlp.fc"));
    x = x.add(linear(nn.gelu(hidden, { approximate: false }), own("mlp.proj")));
  }
  const logits = linear(norm(x, weight("final_norm")), embed);
  return nn.logSoftmax(logits).mul(nn.oneHot(targets, VOCABULARY)).sum().mul(-1 / (B * T));
}

/** One step; `hyper` holds lr, 1 - beta1^t and sqrt(1 - beta2^t). Returns the loss and the next state. */
const step = jit(
  ({ p, m, v }: State, ids: np.Array, targets: np.Array, hyper: np.Array[]) => {
    const [loss, gradients] = valueAndGrad(lossOf)(tree.ref(p), ids, targets);
    const squares = Object.values(gradients).map((g) => np.square(g.ref).sum());
    const length = np.sqrt(squares.reduce((a, b) => a.add(b)));
    const scale = np.minimum(np.reciprocal(length.add(1e-6)).mul(clip), 1);
    const next: State = { p: {}, m: {}, v: {} };
    const [lr, correction1, correction2] = hyper;
    for (const { name } of layout.slots) {
      const g = gradients[name].mul(scale.ref);
      const mean = m[name].mul(beta1).add(g.ref.mul(1 - beta1));
      const square = v[name].mul(beta2).add(np.square(g).mul(1 - beta2));
      const kept = decayed.has(name) ? p[name].mul(lr.ref.mul(-weight_decay).add(1)) : p[name];
      const direction = mean.ref.div(np.sqrt(square.ref).div(correction2.ref).add(eps));
      next.p[name] = kept.sub(direction.mul(lr.ref).div(correction1.ref));
      [next.m[name], next.v[name]] = [mean, square];
    }
    tree.dispose([scale, ...hyper]);
    return { loss, next };
  },
);

// In float32, because np.array makes float64 arrays of other numbers.
const array = (values: Values | number[], shape: readonly number[]) =>
  np.array(Float32Array.from(values), { shape: [...shape] });
const tokens = (values: Values) => np.array(Int32Array.from(values));

let state: State;
let steps = 0;

async function run(): Promise<np.Array> {
  const { ids0, targets0, hyper } = feedsOf(steps++);
  const scalars = [...hyper.subarray(0, 3)].map((x) => array([x], []));
  const { loss, next } = step(state, tokens(ids0), tokens(targets0), scalars);
  state = next;
  await blockUntilReady([loss, next]);
  return loss;
}

async function check(): Promise<void> {
  using device = referenceDevice();
  await initialise(device, layout, 1);
  const initial = await readParameters(device, layout);
  const tensors = (scale: number): Parameters =>
    Object.fromEntries(
      layout.slots.map(({ name, shape }) => [name, array(initial[name].data.map((x) => scale * x), shape)]),
    );
  state = { p: tensors(1), m: tensors(0), v: tensors(0) };
  using program = await device.compile(graph);
  for (let t = 0; t < 2; t++) {
    const loss = (await run()).js() as number;
    program.run(feedsOf(t));
    const [rows] = await device.read([table.name]);
    const expected = rows[table.columns.loss];
    // Five digits.
    if (!(Math.abs(loss - expected) < 5e-6 * expected)) {
      throw new Error(`The loss of step ${t + 1} is ${loss} in jax-js and ${expected} in heed.`);
    }
  }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

defaultDevice("wasm");
await check();
for (let warm = 0; warm < WARM; warm++) (await run()).dispose();
const medians: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const times: number[] = [];
  for (let k = 0; k < STEPS; k++) {
    const began = performance.now();
    (await run()).dispose();
    times.push(performance.now() - began);
  }
  medians.push(median(times));
}
console.log(JSON.stringify(medians));
Deno.exit(0);
