// A model of GPT-2 small's shapes on WebGPU. Its embedding alone is larger than llvmpipe binds: it is bound in parts.
import assert from "node:assert/strict";
import { generate } from "../../../src/generate/generate.ts";
import { referenceDevice } from "../../../src/device/reference.ts";
import type { Device } from "../../../src/device/device.ts";
import { findAdapter, webgpuDevice } from "../../../src/device/webgpu.ts";
import { resolveConfig } from "../../../src/config/mod.ts";
import { idsTokenizer } from "../../../src/data/mod.ts";
import { putModel } from "../../../src/model/checkpoint.ts";
import { languageModelOf, modelOf } from "../../../src/model/model.ts";
import { fromGpt2Config } from "../../../src/model/formats/gpt2.ts";
import { logitsGraph } from "../../../src/train/step_graph.ts";
import type { TensorData } from "../../../src/model/formats/safetensors.ts";

const SIZES = {
  model_type: "gpt2",
  vocab_size: 50257,
  n_positions: 1024,
  n_embd: 768,
  n_layer: 12,
  n_head: 12,
};

/** A cheap generator for a hundred million numbers: uniform with the given standard deviation. */
function numbers(count: number, seed: number, mean: number, std: number): Float32Array {
  const data = new Float32Array(count);
  for (let i = 0, state = seed; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = mean + std * Math.sqrt(12) * (state / 2 ** 32 - 0.5);
  }
  return data;
}

Deno.test("a model of GPT-2 small's 124,439,808 parameters loads and generates on WebGPU, as on the reference device", async () => {
  const model = fromGpt2Config(SIZES, "config.json");
  const config = resolveConfig({ model, tokenizer: { kind: "ids" } }, { place: "", name: "gpt2" });
  const tiny = modelOf(config, idsTokenizer(SIZES.vocab_size));
  assert.equal(tiny.parameters, 124_439_808);
  const tensors = new Map(
    tiny.layout.slots.map(({ name, shape, size, mean, std }, i): [string, TensorData] => {
      return [name, { dtype: "F32", shape: [...shape], data: numbers(size, i, mean, std || 0.02) }];
    }),
  );
  /** The last logits of a prompt, and its continuation at temperature 0. */
  const asked = async (device: Device) => {
    putModel(device, { ...tiny, tensors, path: "memory" });
    using program = await device.compile(logitsGraph(tiny.architecture, tiny.layout, 1, 2));
    program.run({ ids: Uint32Array.of(464, 50256) });
    const [logits] = await program.read(["logits"]);
    const options = { prompt: "464 50256", tokens: 3, temperature: 0, seed: 1 };
    return {
      logits: Float32Array.from(logits.slice(-SIZES.vocab_size)),
      text: await generate(device, languageModelOf(tiny), options),
    };
  };
  using reference = referenceDevice();
  const expected = await asked(reference);
  using webgpu = await webgpuDevice((await findAdapter())!);
  const actual = await asked(webgpu);
  assert.match(actual.text, /^464 50256( \d+){3}$/);
  assert.equal(actual.text, expected.text);
  const error = actual.logits.reduce((most, x, i) => Math.max(most, Math.abs(x - expected.logits[i])), 0);
  // Logits of order 1 from sums of 3072 products in float32, twelve layers deep.
  assert.ok(error < 1e-4, `${error}`);
});
