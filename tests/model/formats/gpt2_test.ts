// A GPT-2 written by Hugging Face transformers gives the same logits and continuations here, and exports to the same bytes.
import assert from "node:assert/strict";
import { generate, generateTexts } from "../../../src/generate/generate.ts";
import { referenceDevice } from "../../../src/device/reference.ts";
import type { Device } from "../../../src/device/device.ts";
import { findAdapter, webgpuDevice } from "../../../src/device/webgpu.ts";
import { resolveConfig } from "../../../src/config/mod.ts";
import { charTokenizer } from "../../../src/data/mod.ts";
import { UserError } from "../../../src/base/errors.ts";
import { type Checkpoint, loadCheckpoint, putModel } from "../../../src/model/checkpoint.ts";
import { languageModelOf, modelOf } from "../../../src/model/model.ts";
import { exportModel } from "../../../src/model/formats/export_model.ts";
import {
  fromGpt2Config,
  fromGpt2Tensors,
  toGpt2Config,
  toGpt2Tensors,
} from "../../../src/model/formats/gpt2.ts";
import { importModel } from "../../../src/model/formats/import_model.ts";
import { logitsGraph } from "../../../src/train/step_graph.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type TensorData,
  toFloat32,
} from "../../../src/model/formats/safetensors.ts";
import { verifyCheckpoint } from "../../../src/train/verify.ts";
import golden from "../../golden/gpt2.json" with { type: "json" };
import { inFolder } from "../../scripts/harness.ts";

const FOLDER = new URL("../../golden/gpt2/", import.meta.url).pathname;
const config = () => JSON.parse(Deno.readTextFileSync(`${FOLDER}config.json`));
const stored = () => decodeSafetensors(Deno.readFileSync(`${FOLDER}model.safetensors`), "golden").tensors;

/** Runs `use` with the golden model imported into a folder of its own. */
const imported = (use: (model: Checkpoint, folder: string) => Promise<void>) => () =>
  inFolder(async (folder) => {
    const { path } = await importModel(FOLDER, `${folder}/tiny`);
    await use(await loadCheckpoint(path), folder);
  });

async function largestError(device: Device, model: Checkpoint): Promise<number> {
  putModel(device, model);
  const { vocabulary, context } = model.architecture;
  using program = await device.compile(logitsGraph(model.architecture, model.layout, 1, context));
  program.run({ ids: Uint32Array.from(golden.ids) });
  const [logits] = await program.read(["logits"]);
  const errors = golden.every_8th_logit.flatMap((row, t) =>
    row.map((expected, i) => Math.abs(logits[t * vocabulary + 8 * i] - expected))
  );
  const last = golden.last_logits.map((x, i) => Math.abs(logits[(context - 1) * vocabulary + i] - x));
  assert.equal(last.length, vocabulary);
  return Math.max(...errors, ...last);
}

Deno.test(
  "a GPT-2 of transformers has its logits here on the CPU and on WebGPU under both schedules",
  imported(async (model) => {
    const adapter = async () => (await findAdapter())!;
    const devices = [
      referenceDevice(),
      await webgpuDevice(await adapter()),
      await webgpuDevice(await adapter(), "gpu"),
    ];
    for (const device of devices) {
      using open = device;
      const error = await largestError(open, model);
      // Logits reach 30; float32 gives 1e-5 of that order, the exact GELU instead of GPT-2's 1e-3.
      assert.ok(error <= 1e-4, `${open.adapter}: ${error}`);
    }
    using device = referenceDevice();
    const { mlp } = model.architecture.block;
    const other = {
      ...model,
      architecture: { ...model.architecture, block: { mlp: { ...mlp, activation: "gelu" as const } } },
    };
    assert.ok(await largestError(device, other) > 1e-4, "the test distinguishes the two forms of GELU");
  }),
);

Deno.test(
  "a GPT-2 of transformers is continued greedily as transformers does",
  imported(async (model) => {
    using device = referenceDevice();
    putModel(device, model);
    for (const { ids, greedy } of golden.prompts) {
      const sampling = { temperature: 0, seed: 1, tokens: greedy.length - ids.length };
      // A tokenizer of ids: only the model is compared.
      const tokenizer = {
        encode: () => Uint32Array.from(ids),
        decode: (all: ArrayLike<number>) => String(all),
      };
      const generator = { ...languageModelOf(model), tokenizer: { ...model.tokenizer, ...tokenizer } };
      assert.equal(await generate(device, generator, { prompt: "x", ...sampling }), greedy.join());
    }
  }),
);

Deno.test(
  "a GPT-2 of transformers is continued by beams as transformers does, with its log probability",
  imported(async (model) => {
    using device = referenceDevice();
    putModel(device, model);
    for (const { ids, beams } of golden.prompts) {
      const tokenizer = {
        encode: () => Uint32Array.from(ids),
        decode: (all: ArrayLike<number>) => String(all),
      };
      const generator = { ...languageModelOf(model), tokenizer: { ...model.tokenizer, ...tokenizer } };
      const options = { temperature: 0, seed: 1, tokens: 8, beams: beams.width, lengthPenalty: 0 };
      const [text] = await generateTexts(device, generator, ["x"], options);
      assert.deepEqual([...ids, ...text.ids], beams.ids);
      assert.ok(Math.abs(text.logProbability - beams.log_probability) < 1e-4);
    }
  }),
);

Deno.test(
  "an imported model passes every check, and is exported to the bytes that it came from",
  imported(async (model, folder) => {
    const checks = await verifyCheckpoint(`${folder}/tiny`, () => Promise.resolve(referenceDevice()));
    assert.deepEqual(checks.filter(({ passed }) => !passed), []);
    assert.ok(checks.length >= 10);
    // Room for the logits of 7 positions: 3 of each of two rows.
    const target = { kind: "software", maxBindingBytes: 4 * 7 * model.architecture.vocabulary } as const;
    const narrow = { ...referenceDevice(), target: { ...target, maxWorkgroupBytes: 0 } };
    const compared = await verifyCheckpoint(`${folder}/tiny`, () => Promise.resolve(narrow));
    const { vocabulary, context } = model.architecture;
    const text = `${
      (6 * vocabulary).toLocaleString("en")
    } values of the last 3 of ${context} positions, bitwise identical in two loads`;
    assert.deepEqual(
      compared.filter(({ name }) => name.startsWith("logits")).map(({ passed, detail }) => [passed, detail]),
      [[true, text], [true, text]],
    );
    const files = await exportModel(model, `${folder}/again`);
    assert.ok(files.includes("tokenizer.json"));
    assert.deepEqual(
      Deno.readFileSync(`${folder}/again/model.safetensors`),
      Deno.readFileSync(`${FOLDER}model.safetensors`),
    );
    const [exported, theirs] = [JSON.parse(Deno.readTextFileSync(`${folder}/again/config.json`)), config()];
    for (const key of Object.keys(exported).filter((key) => !key.endsWith("token_id"))) {
      assert.deepEqual(exported[key], theirs[key], key);
    }
    await assert.rejects(() => exportModel(model, `${folder}/again`), /exists already/);
    await assert.rejects(() => importModel(FOLDER, `${folder}/again`), /exists already/);
  }),
);

Deno.test("GPT-2's tensors are read without prefix, in another dtype, with masks and the copy of a tied head", () => {
  const model = fromGpt2Config(config(), "c");
  const plain = fromGpt2Tensors(stored(), model, "m");
  const other: [string, TensorData][] = [...stored()].map(([name, x]) => {
    const data = BigInt64Array.from(toFloat32(x), (value) => BigInt(Math.round(value * 8)));
    return [name.replace("transformer.", ""), { dtype: "I64", shape: x.shape, data }];
  });
  other.push(["h.0.attn.bias", { dtype: "BOOL", shape: [1, 1, 48, 48], data: new Uint8Array(48 * 48) }]);
  other.push(["h.1.attn.masked_bias", { dtype: "F32", shape: [], data: Float32Array.of(-1e4) }]);
  other.push(["lm_head.weight", new Map(other).get("wte.weight")!]);
  const parameters = fromGpt2Tensors(new Map(other), model, "m");
  assert.deepEqual([...parameters.keys()], [...plain.keys()]);
  for (const [name, { data }] of parameters) {
    assert.deepEqual(data, plain.get(name)!.data.map((x) => Math.round(x * 8) || 0), name);
  }
});

const WRONG: [what: string, change: Record<string, unknown>, message: RegExp][] = [
  ["another model", { model_type: "llama" }, /^c: model_type is "llama"; heed supports only "gpt2"\.$/],
  ["another epsilon", { layer_norm_epsilon: 1e-6 }, /layer_norm_epsilon is 0\.000001; .* only 0\.00001/],
  [
    "scores scaled by layer",
    { scale_attn_by_inverse_layer_idx: true },
    /scale_attn_by_inverse_layer_idx is true/,
  ],
  ["heads that do not divide", { n_head: 5 }, /n_head 5 does not divide n_embd 32/],
  ["no sizes", { n_layer: undefined }, /n_layer is nothing, expected a whole number/],
  ["a fractional size", { n_embd: 1.5 }, /n_embd is 1\.5, expected a whole number/],
  ["an odd width", { n_inner: 40 }, /n_inner 40 is not a multiple of n_embd 32/],
  [
    "an unknown activation",
    { activation_function: "gelu_now" },
    /"gelu_now" is unknown\. Did you mean "gelu_new"\?/,
  ],
  ["a certain dropout", { resid_pdrop: 1 }, /resid_pdrop is 1, expected a number of at least 0 and below 1/],
];

for (const [what, change, message] of WRONG) {
  Deno.test(`a config.json with ${what} is one line that names it`, () => {
    assert.throws(
      () => fromGpt2Config({ ...config(), ...change }, "c"),
      (error) => error instanceof UserError && message.test(error.message),
    );
  });
}

Deno.test("a tensor that is missing, unknown or of another shape gives one line that names it", () => {
  const model = fromGpt2Config(config(), "c");
  const refuses = (change: (tensors: Map<string, TensorData>) => void, message: RegExp) => {
    const tensors = stored();
    change(tensors);
    assert.throws(
      () => fromGpt2Tensors(tensors, model, "m"),
      (error) => error instanceof UserError && message.test(error.message),
    );
  };
  refuses(
    (t) => t.delete("transformer.h.1.attn.c_attn.bias"),
    /^m: tensor h\.1\.attn\.c_attn\.bias \[96\] is missing/,
  );
  refuses(
    (t) => t.set("h.1.ln_3.bias", t.get("transformer.wpe.weight")!),
    /tensor h\.1\.ln_3\.bias is not a tensor of GPT-2\. Did/,
  );
  refuses(
    (t) => t.set("transformer.wte.weight", t.get("transformer.wpe.weight")!),
    /tensor wte\.weight is \[48, 32\], expected \[297, 32\] by the sizes in config\.json/,
  );
  refuses(
    (t) => t.set("wpe.weight", t.get("transformer.wpe.weight")!),
    /^m: tensor wpe\.weight occurs twice: also as transformer\.wpe\.weight\.$/,
  );
  refuses(
    (t) => {
      const { shape, data } = t.get("transformer.wte.weight")!;
      t.set("lm_head.weight", {
        dtype: "F32",
        shape,
        data: Float32Array.from(data as Float32Array, (x) => -x),
      });
    },
    /^m: tensor lm_head\.weight differs from wte\.weight; .* tie_word_embeddings false in config\.json\.$/,
  );
});

/** The model that a configuration's `model` describes, with distinct values for all parameters. */
function modelWith(model: Record<string, unknown>) {
  const resolved = resolveConfig({ model: { dim: 8, layers: 2, heads: 2, context: 4, ...model } }, {
    place: "",
    name: "x",
  });
  const { architecture, layout } = modelOf(resolved, charTokenizer("abc"));
  const tensors = new Map(layout.slots.map(({ name, shape, size }, i): [string, TensorData] => {
    return [name, {
      dtype: "F32",
      shape: [...shape],
      data: new Float32Array(size).map((_, k) => 100 * i + k),
    }];
  }));
  return { architecture, tensors };
}

Deno.test("toGpt2Tensors() and fromGpt2Tensors() are inverse for tied and untied heads, any factor, with and without biases", () => {
  for (const tied of [true, false]) {
    for (const bias of [true, false]) {
      const { architecture, tensors } = modelWith({
        tied,
        bias,
        block: { mlp: { factor: 3, activation: "relu" } },
      });
      const bytes = encodeSafetensors(toGpt2Tensors(tensors, architecture));
      const model = fromGpt2Config(JSON.parse(JSON.stringify(toGpt2Config(architecture))), "c");
      assert.deepEqual([model.tied, model.block.mlp], [tied, { factor: 3, activation: "relu" }]);
      const back = fromGpt2Tensors(decodeSafetensors(bytes, "x").tensors, model, "x");
      for (const [name, { data, shape }] of back) {
        const expected = tensors.get(name) ?? { data: new Float32Array(data.length), shape };
        assert.deepEqual([name, shape, data], [name, expected.shape, expected.data]);
      }
      assert.ok([...tensors.keys()].every((name) => back.has(name)));
    }
  }
  const { architecture, tensors } = modelWith({ bias: true });
  for (const [name, change] of [["blocks.1.attn.wq.bias", undefined], ["embed.weight", [4, 8]]] as const) {
    const other = new Map(tensors);
    if (change) other.set(name, { dtype: "F32", shape: [...change], data: new Float32Array(32) });
    else other.delete(name);
    assert.throws(
      () => toGpt2Tensors(other, architecture),
      (error: Error) => error instanceof UserError && error.message.startsWith(`tensor ${name} is `),
    );
  }
});

Deno.test("a model that GPT-2's format cannot represent fails with one line that names the key", () => {
  const refuses = (model: Record<string, unknown>, message: RegExp) =>
    assert.throws(
      () => toGpt2Config(modelWith(model).architecture),
      (error) => error instanceof UserError && message.test(error.message),
    );
  refuses(
    { positions: "rope" },
    /^model\.positions is "rope", GPT-2 has "learned": GPT-2's format cannot represent/,
  );
  refuses({ norm: "rmsnorm" }, /^model\.norm is "rmsnorm"/);
  refuses(
    { block: { attention: { activation: "sigmoid" } } },
    /^model\.blocks\.0\.attention\.activation is "sigmoid"/,
  );
  refuses({ block: { attention: { window: 2 } } }, /attention\.window is 2, GPT-2 has null/);
  refuses({ block: { attention: { kv_heads: 1 } } }, /attention\.kv_heads is 1/);
  refuses({ block: { norm_order: "post" } }, /norm_order is "post"/);
  refuses({ block: { mlp: { gated: true } } }, /mlp\.gated is true/);
  refuses(
    { blocks: [{}, { mlp: { activation: "relu" } }] },
    /^model\.blocks\.1\.mlp\.activation is "relu", GPT-2 has "gelu"/,
  );
  // Keys that do not affect the result are accepted.
  toGpt2Config(
    modelWith({ block: { attention: { backward: "diag", kv_heads: 2, value_dim: 8 } } }).architecture,
  );
});
