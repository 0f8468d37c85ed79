// Every option of a model: its gradient, its first steps, and causality.
import assert from "node:assert/strict";
import { crossEntropy } from "../../kernels/cross_entropy/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { randomStream } from "../../src/base/random.ts";
import { resolveConfig } from "../../src/config/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { ancestors } from "../../src/graph/gradient.ts";
import { input, reshape } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { type Architecture, decoder, decoderParameters } from "../../src/nn/decoder.ts";
import { initialise, layout } from "../../src/model/layout.ts";
import { rowsOf, stepFeeds, stepGraph } from "../../src/train/step_graph.ts";
import { evaluate, relativeError, webgpuDevices } from "../kernels/harness.ts";
import { EXACT, SURROGATE, TINY } from "./options.ts";

const BATCH = 3;

/** A decoder's loss on random tokens with random parameters, larger than at initialisation. */
function lossOf(architecture: Architecture, purpose: string) {
  const rng = randomStream(1, purpose);
  const { vocabulary, context } = architecture;
  const feeds: Record<string, Values> = {};
  const parameters: Record<string, Tensor> = {};
  for (const { name, shape, mean, std } of decoderParameters(architecture)) {
    parameters[name] = input(name, shape);
    const spread = std > 0 ? 0.3 : 0.1;
    const size = shape.reduce((a, b) => a * b, 1);
    feeds[name] = Float64Array.from({ length: size }, () => Math.fround(mean + spread * rng.normal()));
  }
  const tokens = (n: number) => Uint32Array.from({ length: n }, () => rng.below(vocabulary));
  feeds.ids = tokens(BATCH * context);
  feeds.targets = tokens(BATCH * context);
  const logits = decoder(architecture, parameters, input("ids", [BATCH, context], "u32"));
  const { loss } = crossEntropy(
    reshape(logits, [BATCH * context, vocabulary]),
    input("targets", [BATCH * context], "u32"),
  );
  return { feeds, parameters, loss, logits, rng };
}

Deno.test("dropout applies to the embedding, every pattern and every branch, each with its own random numbers", () => {
  const sitesOf = (choices: Partial<Architecture>) => {
    const architecture = { ...TINY, layers: 2, ...choices };
    const parameters = Object.fromEntries(
      decoderParameters(architecture).map(({ name, shape }) => [name, input(name, shape)]),
    );
    const ids = input("ids", [BATCH, architecture.context], "u32");
    const logits = decoder(architecture, parameters, ids, { seed: input("seed", [2], "u32") });
    return ancestors([logits]).flatMap(({ op: { name }, attrs }): [string, number][] => {
      if (name === "dropout") return [[name, (attrs as { site: number }).site]];
      if (name !== "attention") return [];
      const { p, site } = (attrs as { dropout: { p: number; site: number } }).dropout;
      return p > 0 ? [[name, site]] : [];
    });
  };
  const sites = sitesOf({ dropout: 0.1 });
  const branches = ["attention", "dropout", "dropout"];
  assert.deepEqual(sites.map(([name]) => name), ["dropout", ...branches, ...branches]);
  assert.equal(new Set(sites.map(([, site]) => site)).size, 7);
  const blockSites = sitesOf({ block: { ...TINY.block, dropout: 0.1 } });
  assert.deepEqual(
    blockSites.map(([name]) => name),
    [...branches, ...branches],
    "a block's own leaves the embedding",
  );
});

for (const [name, choices] of Object.entries(EXACT)) {
  Deno.test(`the gradient of a decoder with ${name} equals central differences, for every parameter`, async () => {
    const { feeds, parameters, loss, rng } = lossOf({ ...TINY, ...choices }, name);
    const names = Object.keys(parameters);
    using oracle = referenceDevice({ precision: "f64" });
    const gradients = grad(loss, names.map((key) => parameters[key]));
    const outputs = Object.fromEntries(names.map((key, i) => [key, gradients[i]]));
    const slopes = await evaluate(oracle, { feeds, outputs });
    using program = await oracle.compile({ outputs: { loss } });
    for (const key of names) {
      const direction = Float64Array.from(feeds[key], () => rng.normal());
      const along = direction.reduce((sum, d, i) => sum + d * slopes[key][i], 0);
      const at = async (h: number): Promise<number> => {
        program.run({ ...feeds, [key]: Float64Array.from(feeds[key], (x, i) => x + h * direction[i]) });
        return (await program.read(["loss"]))[0][0];
      };
      // Richardson's step cancels the h^2 term.
      const [fine, coarse] = [1e-5, 2e-5];
      const slope = async (h: number) => (await at(h) - await at(-h)) / (2 * h);
      const expected = (4 * await slope(fine) - await slope(coarse)) / 3;
      // Differences of a loss near 2.5 are good to about 1e-16 * 2.5 / 1e-5.
      const allowed = 1e-6 * Math.max(Math.abs(expected), 1e-3) + 1e-10;
      assert.ok(Math.abs(along - expected) <= allowed, `${key}: ${along}, differences give ${expected}`);
    }
  });
}

/** Losses of three steps on one batch, before each. */
async function losses(device: Device, architecture: Architecture): Promise<number[]> {
  const raw = { model: { context: TINY.context }, train: { batch: BATCH } };
  const config = resolveConfig(raw, { place: "tiny", name: "tiny" });
  const slots = layout(decoderParameters(architecture));
  await initialise(device, slots, 1);
  const { graph, table } = stepGraph(architecture, slots, config);
  using program = await device.compile(graph);
  const rng = randomStream(2, "steps");
  const tokens = () => Uint32Array.from({ length: BATCH * TINY.context }, () => rng.below(TINY.vocabulary));
  const batch = { ids: tokens(), targets: tokens() };
  for (let step = 0; step < 3; step++) {
    program.run(stepFeeds(config, [batch], { step, lr: 3e-3, slot: step }));
  }
  const [values] = await device.read([table.name]);
  return rowsOf(table, values, 3).map(({ loss }) => loss);
}

for (const [name, choices] of Object.entries({ ...EXACT, ...SURROGATE })) {
  Deno.test(`three steps of a decoder with ${name} have finite, falling losses`, async () => {
    using device = referenceDevice();
    const [first, second, third] = await losses(device, { ...TINY, ...choices });
    // At initialisation the loss is that of the uniform distribution.
    assert.ok(Math.abs(first - Math.log(TINY.vocabulary)) < 0.1, `starts at ${first}`);
    assert.ok(first > second && second > third, `${first}, ${second}, ${third}`);
  });

  Deno.test(`no logit of a decoder with ${name} changes when a later token does`, async () => {
    const { feeds, logits } = lossOf({ ...TINY, ...choices }, name);
    using device = referenceDevice({ precision: "f64" });
    const { logits: before } = await evaluate(device, { feeds, outputs: { logits } });
    const { context: T, vocabulary: V } = TINY;
    const t = 4;
    const ids = (feeds.ids as Uint32Array).slice();
    ids[t] = (ids[t] + 1) % V;
    const { logits: after } = await evaluate(device, { feeds: { ...feeds, ids }, outputs: { logits } });
    const row = (values: Values, i: number) => values.subarray(i * V, (i + 1) * V);
    for (let i = 0; i < BATCH * T; i++) {
      const reached = i >= t && i < T;
      if (!reached) assert.deepEqual(row(after, i), row(before, i), `row ${i}`);
    }
    assert.notDeepEqual(row(after, t), row(before, t), "the row itself does change");
  });
}

Deno.test("taps change nothing, and observe every tensor of a block by its name", async () => {
  const choices: Partial<Architecture> = {
    blocks: [{ mlp: { gated: true } }, { norm_order: "hybrid", attention: { layer_scale: 0.3 } }],
  };
  const { feeds, parameters, logits } = lossOf({ ...TINY, ...choices }, "taps");
  const seen: string[] = [];
  const taps = {
    wants: () => true,
    tap: (name: string, x: Tensor) => {
      seen.push(`${name} ${x.shape.join(" ")}`);
      return x;
    },
  };
  const ids = input("ids", [BATCH, TINY.context], "u32");
  const tapped = decoder({ ...TINY, ...choices }, parameters, ids, { taps });
  using oracle = referenceDevice({ precision: "f64" });
  const actual = await evaluate(oracle, { feeds, outputs: { logits, tapped } });
  assert.ok(relativeError(actual.tapped, actual.logits) < 1e-14);
  const block = (n: number) =>
    [
      "resid_pre 3 7 12",
      "ln1 3 7 12",
      "attn.q 3 7 3 4",
      "attn.k 3 7 3 4",
      "attn.v 3 7 3 4",
      "attn.z 3 7 3 4",
      "attn.proj 3 7 12",
      "attn_out 3 7 12",
      "resid_mid 3 7 12",
      "ln2 3 7 12",
      "mlp.pre 3 7 48",
      "mlp.post 3 7 48",
      "mlp.proj 3 7 12",
      "mlp_out 3 7 12",
      "resid_post 3 7 12",
    ].map((name) => `blocks.${n}.${name}`);
  const ends = ["final_norm 3 7 12", "logits 3 7 11"];
  assert.deepEqual(seen, ["embed 3 7 12", "pos_embed 7 12", ...block(0), ...block(1), ...ends]);
});

/** Many options at once, so that few programs are compiled. */
const MIXED: Record<string, Partial<Architecture>> = {
  "rope, QK-norm, groups and a gate": {
    positions: "rope",
    // Heads of 4: over two numbers LayerNorm leaves only signs, and gradients are only rounding errors.
    norm_bias: true,
    blocks: [
      {
        attention: { qk_norm: "layernorm", kv_heads: 1, value_dim: 18 },
        mlp: { gated: true, activation: "silu" },
      },
      {
        norm_order: "hybrid",
        attention: { activation: "sigmoid", bias: "learned", per: "head", layer_scale: 0.5 },
      },
    ],
  },
  "alibi, extra keys, a window and feedback": {
    positions: "alibi",
    bias: true,
    norm: "rmsnorm",
    blocks: [
      { attention: { extra_keys: 2, window: 3, temperature: "learned", softcap: 3 }, mlp: { method: "fa" } },
      {
        norm_order: "post",
        attention: { activation: "relu2", divide: "n" },
        mlp: { method: "dfa", activation: "relu2" },
      },
    ],
  },
};

for (const [name, choices] of Object.entries(MIXED)) {
  Deno.test(`loss and every gradient of a decoder with ${name} equal float64 on WebGPU`, async () => {
    const { feeds, parameters, loss } = lossOf({ ...TINY, ...choices }, name);
    const names = Object.keys(parameters);
    const gradients = grad(loss, names.map((key) => parameters[key]));
    const outputs = { loss, ...Object.fromEntries(names.map((key, i) => [key, gradients[i]])) };
    using oracle = referenceDevice({ precision: "f64" });
    const expected = await evaluate(oracle, { feeds, outputs });
    for (const device of await webgpuDevices()) {
      const actual = await evaluate(device, { feeds, outputs });
      for (const key of Object.keys(outputs)) {
        const error = relativeError(actual[key], expected[key], 1e-4);
        assert.ok(error <= 1e-4, `${device.target!.kind} schedule, ${key}: ${error}`);
      }
    }
  });
}
