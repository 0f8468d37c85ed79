// The graph of a training step for every model option: it learns, its gradient is right, and its parameters have the names,
// shapes and initial distributions of the papers.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { findAdapter, webgpuDevice } from "../../src/device/webgpu.ts";
import { decoderParameters, parameterCount } from "../../src/nn/mod.ts";
import { modelOf } from "../../src/model/model.ts";
import { initialise, readParameters, STATES } from "../../src/model/layout.ts";
import { logitsGraph, rowsOf, stepFeeds, stepGraph } from "../../src/train/step_graph.ts";

const TOKENIZER = charTokenizer("abcdefg");

function configOf(model: Record<string, unknown>): Config {
  const raw = {
    model: { context: 5, dim: 8, layers: 2, heads: 2, ...model },
    train: { batch: 3 },
    optimizer: { clip: 0 },
  };
  return resolveConfig(raw, { place: "test", name: "test" });
}

/** Options of the model on their own, and most of them together. */
const OPTIONS: Record<string, Record<string, unknown>> = {
  "the default": {},
  "an untied head": { tied: false },
  "RMSNorm": { norm: "rmsnorm" },
  "biases": { bias: true },
  "ReLU": { block: { mlp: { activation: "relu" } } },
  "tanh GELU and another factor": { block: { mlp: { activation: "gelu_tanh", factor: 3 } } },
  "sigmoid attention": { block: { attention: { activation: "sigmoid" } } },
  "sigmoid attention with a bias of its own": { block: { attention: { activation: "sigmoid", bias: 0.5 } } },
  "dropout": { dropout: 0.2 },
  "no positions": { positions: "none" },
  "unscaled residual matrices": { init: { scaled_residual: false, std: 0.1 } },
  "everything at once": {
    tied: false,
    norm: "rmsnorm",
    bias: true,
    dropout: 0.1,
    positions: "none",
    block: { mlp: { activation: "relu" }, attention: { activation: "sigmoid" } },
  },
};

function setUp(model: Record<string, unknown>) {
  const config = configOf(model);
  const { architecture, layout } = modelOf(config, TOKENIZER);
  const rng = randomStream(1, "step graph test");
  const numbers = () => Uint32Array.from({ length: config.train.batch * 5 }, () => rng.below(TOKENIZER.size));
  const batch = { ids: numbers(), targets: numbers() };
  return { config, layout, batch, rng, ...stepGraph(architecture, layout, config) };
}

/** Losses of three steps on one batch. */
async function threeLosses(device: Device, model: Record<string, unknown>): Promise<number[]> {
  const { config, layout, batch, graph, table } = setUp(model);
  await initialise(device, layout, config.seed);
  using program = await device.compile(graph);
  for (let step = 0; step < 3; step++) {
    program.run(stepFeeds(config, [batch], { step, lr: 0.01, slot: step }));
  }
  const [values] = await device.read([table.name]);
  return rowsOf(table, values, 3).map(({ loss }) => loss);
}

function assertFalling(losses: readonly number[]): void {
  assert.ok(losses.every(Number.isFinite), losses.join());
  assert.ok(losses[1] < losses[0] && losses[2] < losses[1], losses.join());
  // Before it has learnt anything a model cannot tell the tokens apart: ln 7 = 1.946.
  assert.ok(Math.abs(losses[0] - Math.log(7)) < 0.25, losses.join());
}

for (const [name, model] of Object.entries(OPTIONS)) {
  Deno.test(`a step of a decoder with ${name} learns, its gradient that of central differences in float64`, async () => {
    using f32 = referenceDevice();
    assertFalling(await threeLosses(f32, model));

    using device = referenceDevice({ precision: "f64" });
    const { config, layout, batch, rng, graph, table } = setUp(model);
    for (const state of Object.values(STATES)) device.define(state, { shape: [layout.size], dtype: "f32" });
    using program = await device.compile(graph);
    const at = Float64Array.from({ length: layout.size }, () => 0.4 * rng.normal());
    /** A step moves the parameters, so each begins from those given. */
    const lossAt = async (values: Float64Array): Promise<number> => {
      device.define(STATES.parameters, { shape: [layout.size], dtype: "f32" }, values);
      program.run(stepFeeds(config, [batch], { step: 0, lr: 0, slot: 0 }));
      return rowsOf(table, (await device.read([table.name]))[0], 1)[0].loss;
    };
    await lossAt(at);
    const gradient = (await program.read(["gradient"]))[0].slice();
    for (const { name: parameter, offset, size } of layout.slots) {
      const direction = new Float64Array(layout.size);
      for (let i = offset; i < offset + size; i++) direction[i] = rng.normal();
      const along = direction.reduce((sum, d, i) => sum + d * gradient[i], 0);
      const difference = async (h: number) => {
        const ahead = await lossAt(at.map((x, i) => x + h * direction[i]));
        return (ahead - await lossAt(at.map((x, i) => x - h * direction[i]))) / (2 * h);
      };
      // Richardson's step cancels the h^2 term. Steps small enough that no ReLU turns over between the points.
      const expected = (4 * await difference(1e-6) - await difference(2e-6)) / 3;
      const norm = Math.hypot(...gradient.subarray(offset, offset + size));
      // Rounding of a loss near 2 over 2e-6 leaves about 1e-10.
      const error = Math.abs(along - expected) / Math.max(Math.abs(expected), norm, 1e-3);
      assert.ok(error <= 1e-6, `${parameter}: ${along}, differences give ${expected}`);
    }
  });
}

Deno.test("a step of a decoder with everything at once learns on WebGPU as on the reference device", async () => {
  const adapter = await findAdapter();
  assert.ok(adapter, "no WebGPU adapter");
  using gpu = await webgpuDevice(adapter);
  using reference = referenceDevice();
  const losses = await threeLosses(gpu, OPTIONS["everything at once"]);
  assertFalling(losses);
  const expected = await threeLosses(reference, OPTIONS["everything at once"]);
  // float32 on both, in other orders of summation.
  losses.forEach((loss, i) =>
    assert.ok(Math.abs(loss / expected[i] - 1) < 1e-4, `${losses} and ${expected}`)
  );
});

/** nanoGPT's CPU model over 65 characters, with some of its options changed. */
function nanogpt(changes: Record<string, unknown> = {}) {
  const config = configOf({ context: 64, dim: 128, layers: 4, heads: 4, ...changes });
  const characters = Array.from({ length: 65 }, (_, i) => String.fromCharCode(40 + i)).join("");
  return modelOf(config, charTokenizer(characters));
}

Deno.test("nanoGPT's CPU model has its 804,096 parameters by name, matrices decayed, norms not", () => {
  const parameters = decoderParameters(nanogpt().architecture);
  // 65 x 128 + 64 x 128 + 4 (12 x 128^2 + 2 x 128) + 128
  assert.equal(parameterCount(parameters), 804_096);
  const block = ["ln1", "attn.wq", "attn.wk", "attn.wv", "attn.wo", "ln2", "mlp.fc", "mlp.proj"];
  assert.deepEqual(
    parameters.map(({ name }) => name).sort(),
    [
      ...[0, 1, 2, 3].flatMap((n) => block.map((part) => `blocks.${n}.${part}.weight`)),
      "embed.weight",
      "final_norm.weight",
      "pos_embed.weight",
    ].sort(),
  );
  for (const { name, shape, decayed } of parameters) assert.equal(decayed, shape.length === 2, name);
});

Deno.test("biases, an untied head and no positions add and remove the expected parameters", () => {
  const changed = nanogpt({ layers: 1, bias: true, tied: false, positions: "none" });
  const shapes = decoderParameters(changed.architecture).map(({ name, shape }) =>
    `${name} ${shape.join("x")}`
  );
  const pairs = (name: string, outer: number, inner?: number) => [
    `${name}.weight ${inner === undefined ? outer : `${outer}x${inner}`}`,
    `${name}.bias ${outer}`,
  ];
  assert.deepEqual(
    shapes.sort(),
    [
      "embed.weight 65x128",
      "unembed.weight 65x128",
      ...["ln1", "ln2"].flatMap((name) => pairs(`blocks.0.${name}`, 128)),
      ...["wq", "wk", "wv", "wo"].flatMap((name) => pairs(`blocks.0.attn.${name}`, 128, 128)),
      ...pairs("blocks.0.mlp.fc", 512, 128),
      ...pairs("blocks.0.mlp.proj", 128, 512),
      ...pairs("final_norm", 128),
    ].sort(),
  );
  const rms = decoderParameters(nanogpt({ bias: true, norm: "rmsnorm" }).architecture);
  assert.ok(!rms.some(({ name }) => /(ln\d|norm)\.bias/.test(name)));
});

Deno.test("parameters start as normal(0, 0.02), into the stream as normal(0, 0.02 / sqrt(2 layers)), norms 1, biases 0", async () => {
  using device = referenceDevice();
  const { layout } = nanogpt({ bias: true, tied: false });
  await initialise(device, layout, 3);
  const values = await readParameters(device, layout);
  const first: number[] = [];
  for (const [name, { shape, data }] of Object.entries(values)) {
    if (shape.length === 1) {
      assert.ok(data.every((x) => x === (name.endsWith(".bias") ? 0 : 1)), name);
      continue;
    }
    const expected = /attn\.wo|mlp\.proj/.test(name) ? 0.02 / Math.sqrt(8) : 0.02;
    const n = data.length;
    const mean = data.reduce((a, b) => a + b, 0) / n;
    const std = Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
    // Five standard errors of mean and deviation.
    assert.ok(Math.abs(mean) < 5 * expected / Math.sqrt(n), `${name}: mean ${mean}`);
    assert.ok(Math.abs(std / expected - 1) < 5 / Math.sqrt(2 * n), `${name}: deviation ${std}`);
    first.push(...data.subarray(0, 64));
  }
  assert.equal(new Set(first).size, first.length, "no two matrices share their draws");
});

Deno.test("logitsGraph() of the last positions of each row equals that of all positions there", async () => {
  const { architecture, layout, config } = modelOf(configOf({}), TOKENIZER);
  using device = referenceDevice({ precision: "f64" });
  await initialise(device, layout, config.seed);
  const ids = Uint32Array.of(0, 1, 2, 3, 4, 6, 5, 4, 3, 2);
  const logits = async (positions?: number) => {
    using program = await device.compile(logitsGraph(architecture, layout, 2, 5, positions));
    program.run({ ids });
    return [...(await program.read(["logits"]))[0]];
  };
  const all = await logits();
  const V = TOKENIZER.size;
  // Rows of a matrix product are independent: the same bits.
  for (const n of [1, 2, 5]) {
    const last = [0, 1].flatMap((row) => all.slice((5 * row + 5 - n) * V, 5 * (row + 1) * V));
    assert.deepEqual(await logits(n), last, `the last ${n}`);
  }
});
