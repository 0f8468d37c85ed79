// The model section: individual blocks, and conflicting keys.

import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import { applyOverride, parseConfig, resolveConfig } from "../../src/config/mod.ts";
import type { ModelConfig } from "../../src/nn/model_keys.ts";
import { runJsonSchema } from "../../src/config/schema.ts";

function model(yaml: string, ...overrides: string[]): ModelConfig {
  const raw = overrides.reduce(applyOverride, parseConfig(`model: ${yaml}`, "a.yaml"));
  return resolveConfig(raw, { place: "a.yaml", name: "a", overrides }).model;
}

function message(yaml: string, ...overrides: string[]): string {
  try {
    model(yaml, ...overrides);
  } catch (error) {
    assert.ok(error instanceof UserError, `expected a UserError, got ${error}`);
    assert.ok(!error.message.includes("\n"), "a message is one line");
    return error.message;
  }
  return "accepted";
}

const attention = (keys: string) => `{ block: { attention: { ${keys} } } }`;

Deno.test("blocks override block, key by key", () => {
  const { block, blocks } = model(`{
    block: { norm: rmsnorm, attention: { softcap: 5, modifier: { file: a.ts, name: one } } },
    blocks: [{ attention: { activation: sigmoid } }, { norm: layernorm, attention: { softcap: null, modifier: null } }]
  }`);
  assert.equal(blocks.length, 2);
  assert.deepEqual(blocks[0], { ...block, attention: { ...block.attention, activation: "sigmoid" } });
  assert.deepEqual(blocks[1], {
    ...block,
    norm: "layernorm",
    attention: { ...block.attention, softcap: null, modifier: null },
  });
  assert.deepEqual(block.attention.modifier, { file: "a.ts", name: "one" });
});

Deno.test("overrides change one block, and create the list if there is none", () => {
  const { blocks } = model(
    "{ block: { mlp: { gated: true } } }",
    "model.blocks.0.attention.window=33",
    "model.blocks.1.attention.window=null",
  );
  assert.deepEqual(blocks.map(({ attention, mlp }) => [attention.window, mlp.gated]), [[33, true], [
    null,
    true,
  ]]);
});

Deno.test("names, numbers and null are each accepted by their keys", () => {
  const actual = model(
    attention("activation: sigmoid, bias: learned, temperature: 1e-1, per: head, layer_scale: 1e-4"),
  );
  const { bias, temperature, per, layer_scale } = actual.block.attention;
  assert.deepEqual([bias, temperature, per, layer_scale], ["learned", 0.1, "head", 1e-4]);
});

Deno.test("an error in a block gives one line with its place, what was found and what was expected", () => {
  const cases: [string, string][] = [
    [
      attention("activation: sigmiod"),
      'model.block.attention.activation: expected softmax, softmax1, entmax15, sigmoid, relu or relu2, found "sigmiod". ' +
      'Did you mean "sigmoid"?',
    ],
    [
      attention("qk_norm: layer"),
      'model.block.attention.qk_norm: expected layernorm, rmsnorm or null, found "layer".',
    ],
    [
      attention("temperature: lerned"),
      'model.block.attention.temperature: expected learned, a number, or null, found "lerned". ' +
      'Did you mean "learned"?',
    ],
    [
      attention("window: 0"),
      "model.block.attention.window: expected an integer of at least 1, or null, found 0.",
    ],
    [attention("softcap: 0"), "model.block.attention.softcap: expected a number above 0, or null, found 0."],
    [
      attention("modifier: x.ts"),
      'model.block.attention.modifier: expected a mapping of keys, found "x.ts".',
    ],
    [
      "{ blocks: [{}, { attention: { activaton: relu } }] }",
      'model.blocks.1.attention.activaton: unknown key. Did you mean "activation"?',
    ],
    ["{ blocks: {} }", "model.blocks: expected a list of blocks, found a mapping."],
    ["{ blocks: [1] }", "model.blocks.0: expected a mapping of keys, found 1."],
    ["{ norm_bias: maybe }", 'model.norm_bias: expected true, false or null, found "maybe".'],
    [
      "{ block: { dropout: 1 } }",
      "model.block.dropout: expected a number of at least 0 and below 1, or null, found 1.",
    ],
    [
      "{ positions: roep }",
      'model.positions: expected learned, none, sincos, rope or alibi, found "roep". Did you mean "rope"?',
    ],
  ];
  for (const [yaml, expected] of cases) assert.equal(message(yaml), `a.yaml: ${expected}`, yaml);
});

Deno.test("conflicting keys are refused in one line", () => {
  const cases: [string, string][] = [
    [
      "{ heads: 8, block: { attention: { kv_heads: 3 } } }",
      "model.block.attention.kv_heads: 3 does not divide model.heads 8; the nearest divisors are 2 and 4.",
    ],
    [
      attention("value_dim: 130"),
      "model.block.attention.value_dim: 130 is not a multiple of model.heads 4; the next multiple is 132.",
    ],
    [
      "{ positions: rope, rope: { rotary_dim: 34 } }",
      "model.rope.rotary_dim: 34 is above the head dimension 32; expected at most 32.",
    ],
    [
      "{ positions: rope, rope: { rotary_dim: 7 } }",
      "model.rope.rotary_dim: 7 is odd, and rope rotates pairs; expected an even number.",
    ],
    [
      "{ positions: rope, dim: 12 }",
      "model.rope.rotary_dim: the head dimension 3 is odd, and rope rotates pairs; expected 2 or less.",
    ],
    [
      attention("activation: sigmoid, backward: diag"),
      "model.block.attention.backward: diag is only for softmax, found activation sigmoid; expected exact.",
    ],
    [
      attention("divide: n"),
      "model.block.attention.divide: n is only for element-wise activations, found activation softmax; expected none.",
    ],
    [
      attention("bias: learned"),
      "model.block.attention.bias: learned needs activation sigmoid, found softmax; expected auto.",
    ],
    [
      "{ layers: 1, blocks: [{}, {}] }",
      "model.blocks: 2 blocks are described, but model.layers is 1; expected at most 1.",
    ],
    [
      "{ blocks: [{}, { attention: { backward: ste, activation: relu } }] }",
      "model.blocks.1.attention.backward: ste is only for softmax, found activation relu; expected exact.",
    ],
  ];
  for (const [yaml, expected] of cases) assert.equal(message(yaml), `a.yaml: ${expected}`, yaml);
});

Deno.test("a conflict caused by an override names the override", () => {
  assert.match(
    message(attention("activation: sigmoid"), "model.block.attention.backward=ste"),
    /^override model\.block\.attention\.backward=ste: ste is only for softmax/,
  );
  assert.match(
    message(
      "{ blocks: [{ attention: { divide: n, activation: relu } }] }",
      "model.blocks.0.attention.activation=softmax",
    ),
    /^override model\.blocks\.0\.attention\.activation=softmax: model\.blocks\.0\.attention\.divide: n is only for element-wise/,
  );
});

Deno.test("compatible keys are accepted", () => {
  const good = [
    "{ heads: 8, block: { attention: { kv_heads: 1, value_dim: 64, kv_head: modulo } } }",
    "{ positions: rope, rope: { rotary_dim: 32, pairs: half, base: 5e5 } }",
    // Heads of odd width are rotated in part, or not at all.
    "{ positions: rope, dim: 12, rope: { rotary_dim: 2 } }",
    "{ positions: alibi, dim: 12, rope: { rotary_dim: 7 } }",
    attention("activation: softmax1, backward: diag, bias: -1"),
    attention("activation: relu2, divide: sqrt_n, bias: 0.5"),
    "{ block: { attention: { divide: n } }, blocks: [{ attention: { activation: relu } }] }",
  ];
  for (const yaml of good) assert.equal(message(yaml), "accepted", yaml);
});

Deno.test("the JSON Schema of a block in the list is that of block", () => {
  type Schema = { properties: Record<string, Schema>; items: Schema; required?: string[] };
  const { model } = (runJsonSchema() as Schema).properties;
  const { blocks, block } = model.properties;
  assert.deepEqual(Object.keys(blocks.items.properties), Object.keys(block.properties));
  assert.equal(blocks.items.required, undefined);
});

Deno.test("a block that contains itself is refused in one line", () => {
  assert.notEqual(message("{ block: &a { attention: *a }, blocks: [&b { attention: *b }] }"), "accepted");
});
