// Architectures: defaults, individual blocks, parameter counts, positions, modifiers from files.
import assert from "node:assert/strict";
import { loadConfig, resolveConfig } from "../../src/config/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import {
  type Architecture,
  architectureOf,
  blockOf,
  decoder,
  decoderParameters,
  loadModifiers,
  parameterCount,
  sincosPositions,
  usesDropout,
} from "../../src/nn/mod.ts";
import { evaluate } from "../kernels/harness.ts";
import { TINY } from "./options.ts";

const names = (architecture: Architecture) => decoderParameters(architecture).map(({ name }) => name);

// The tiny pair is trained on characters; with T5's vocabulary it is the published one.
for (
  const [name, overrides, count] of [
    ["simple_sigmoid", ["model.vocabulary=32100"], 26_424_704],
    ["simple_softmax", ["model.vocabulary=32100"], 26_424_704],
    ["realnews_sigmoid_alibi", [], 310_488_064],
    ["realnews_sigmoid_rope", [], 423_747_584],
    ["realnews_softmax_rope", [], 423_747_584],
  ] as const
) {
  Deno.test(`${name} has ${count.toLocaleString("en-US")} parameters`, async () => {
    const { model } = await loadConfig(name, overrides);
    assert.equal(parameterCount(decoderParameters(architectureOf(model, 90))), count);
  });
}

Deno.test("the tiny pair differs only in activation, bias and positions", async () => {
  const [sigmoid, softmax] = await Promise.all(
    ["simple_sigmoid", "simple_softmax"].map((n) => loadConfig(n, [])),
  );
  const { attention } = sigmoid.model.block;
  assert.deepEqual([attention.activation, attention.bias, sigmoid.model.positions], ["sigmoid", -10, "rope"]);
  sigmoid.model.block.attention = { ...attention, activation: "softmax", bias: "auto" };
  sigmoid.model.positions = "sincos";
  assert.deepEqual({ ...sigmoid, name: "" }, { ...softmax, name: "" });
  const { train, optimizer, schedule, model } = softmax;
  assert.deepEqual([model.dim, model.heads, model.layers, model.context, train.batch], [384, 12, 1, 64, 8]);
  assert.deepEqual([train.steps, schedule.warmup, optimizer.lr, optimizer.betas], [1000, 100, 3e-4, [
    0.9,
    0.95,
  ]]);
});

Deno.test("a shorter list of blocks repeats its last entry, which overrides the default block", () => {
  const architecture: Architecture = {
    ...TINY,
    layers: 3,
    dropout: 0.1,
    block: { attention: { softcap: 5 } },
    blocks: [{ attention: { activation: "sigmoid" } }, { norm: "rmsnorm", dropout: 0 }],
  };
  const seen = [0, 1, 2].map((n) => blockOf(architecture, n));
  assert.deepEqual(seen.map(({ attention }) => attention.activation), ["sigmoid", "softmax", "softmax"]);
  assert.deepEqual(seen.map(({ attention }) => attention.softcap), [5, 5, 5]);
  assert.deepEqual(seen.map(({ norm }) => norm), ["layernorm", "rmsnorm", "rmsnorm"]);
  assert.deepEqual(seen.map(({ dropout }) => dropout), [0.1, 0, 0]);
});

Deno.test("a model uses dropout if it or one of its blocks does", () => {
  assert.equal(usesDropout(TINY), false);
  assert.equal(usesDropout({ ...TINY, dropout: 0.1 }), true);
  assert.equal(usesDropout({ ...TINY, blocks: [{}, { dropout: 0.1 }] }), true);
});

Deno.test("parameters of the default model keep their names and order", () => {
  const block = (n: number) =>
    ["ln1", "attn.wq", "attn.wk", "attn.wv", "attn.wo", "ln2", "mlp.fc", "mlp.proj"].map((part) =>
      `blocks.${n}.${part}.weight`
    );
  assert.deepEqual(names({ ...TINY, tied: true }), [
    "embed.weight",
    "pos_embed.weight",
    ...block(0),
    ...block(1),
    "final_norm.weight",
  ]);
});

Deno.test("each option adds its parameters, with their shapes and initial values", () => {
  const architecture: Architecture = {
    ...TINY,
    layers: 1,
    bias: true,
    heads: 6,
    positions: "rope",
    block: {
      norm_order: "hybrid",
      attention: {
        activation: "sigmoid",
        bias: "learned",
        temperature: "learned",
        per: "head",
        kv_heads: 2,
        value_dim: 18,
        qk_norm: "layernorm",
        extra_keys: 3,
        layer_scale: 0.01,
      },
      mlp: { gated: true, factor: 2 },
    },
  };
  const actual = Object.fromEntries(
    decoderParameters(architecture).map((
      { name, shape, mean },
    ) => [name.replace("blocks.0.", ""), { shape, mean }]),
  );
  const expected: Record<string, [number[], number]> = {
    "attn.wq.weight": [[12, 12], 0],
    "attn.wk.weight": [[4, 12], 0],
    "attn.wk.bias": [[4], 0],
    "attn.wv.weight": [[6, 12], 0],
    "attn.wo.weight": [[12, 18], 0],
    "attn.q_norm.weight": [[2], 1],
    "attn.k_norm.bias": [[2], 0],
    "attn.extra_k": [[3, 4], 0],
    "attn.extra_v": [[3, 6], 0],
    "attn.temperature": [[6], 0],
    "attn.score_bias": [[6], -Math.log(7)],
    "ln1_post.weight": [[12], 1],
    "ln2_post.bias": [[12], 0],
    "ls1": [[12], 0.01],
    "mlp.gate.weight": [[24, 12], 0],
    "mlp.fc.weight": [[24, 12], 0],
  };
  for (const [name, [shape, mean]] of Object.entries(expected)) {
    assert.deepEqual(actual[name], { shape, mean }, name);
  }
  assert.ok(!("ls2" in actual) && !("pos_embed.weight" in actual));
});

Deno.test("a vocabulary smaller than the tokenizer's is refused in one line", () => {
  assert.equal(architectureOf({ ...TINY, vocabulary: null }, 65).vocabulary, 65);
  assert.equal(architectureOf({ ...TINY, vocabulary: 128 }, 65).vocabulary, 128);
  assert.throws(() => architectureOf({ ...TINY, vocabulary: 64 }, 65), (error) => {
    return error instanceof UserError &&
      error.message === "model.vocabulary: 64 is below the tokenizer's 65; expected at least 65.";
  });
});

Deno.test("sincos positions are sines on even and cosines on odd dimensions", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  const { table } = await evaluate(oracle, { feeds: {}, outputs: { table: sincosPositions(5, 6) } });
  const at = (t: number, d: number) => table[t * 6 + d];
  for (const t of [0, 1, 4]) {
    for (const i of [0, 1, 2]) {
      const angle = t / 10000 ** (2 * i / 6);
      assert.ok(Math.abs(at(t, 2 * i) - Math.sin(angle)) < 1e-12);
      assert.ok(Math.abs(at(t, 2 * i + 1) - Math.cos(angle)) < 1e-12);
    }
  }
});

/** A folder with a file of modifiers that imports this project's sources. */
async function withModifiers(body: (file: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const options = new URL("./options.ts", import.meta.url).href;
  const file = `${folder}/mine.ts`;
  await Deno.writeTextFile(file, `export { distance } from "${options}";\nexport const number = 3;\n`);
  try {
    await body(file);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a modifier named by file and export is loaded, learns and changes the logits", () =>
  withModifiers(async (file) => {
    const modifier = { file, name: "distance" };
    const raw = {
      model: { heads: 3, dim: 12, context: 7, layers: 2, blocks: [{ attention: { modifier } }, {}] },
    };
    const { model } = resolveConfig(raw, { place: "a.yaml", name: "a" });
    const described = architectureOf(model, 11);
    assert.throws(() => decoderParameters(described), /distance of .* is not loaded/);
    const architecture = await loadModifiers(described);
    const tables = decoderParameters(architecture).filter(({ name }) => name.includes("modifier"));
    assert.deepEqual(tables.map(({ name, shape, mean }) => [name, shape, mean]), [[
      "blocks.0.attn.modifier.slope",
      [3],
      0.1,
    ]]);
    const parameters = Object.fromEntries(
      decoderParameters(architecture).map(({ name, shape }) => [name, input(name, shape)]),
    );
    assert.deepEqual(decoder(architecture, parameters, input("ids", [2, 7], "u32")).shape, [2, 7, 11]);
  }));

Deno.test("a modifier that cannot be loaded gives one line", () =>
  withModifiers(async (file) => {
    const refuses = (source: { file: string; name: string }, message: RegExp) =>
      assert.rejects(loadModifiers({ ...TINY, block: { attention: { modifier: source } } }), (error) => {
        return error instanceof UserError && message.test(error.message) && !error.message.includes("\n");
      });
    await refuses({ file, name: "distanse" }, /mine\.ts has no such export\. Did you mean "distance"\?$/);
    await refuses({ file, name: "number" }, /expected an object with a function "modifier", found 3\.$/);
    await refuses({ file: `${file}x`, name: "distance" }, /mine\.tsx cannot be loaded: /);
  }));
