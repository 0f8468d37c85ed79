// The JSON Schema for editors against train's validation: it must accept what runs and reject errors.

import assert from "node:assert/strict";
import { z } from "../../src/config/zod.ts";
import { configJsonSchema, parseConfig } from "../../src/config/mod.ts";
import { SHIPPED_CONFIGS } from "../../src/config/shipped.ts";

const schema = z.fromJSONSchema(configJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
const isAccepted = (yaml: string) => schema.safeParse(parseConfig(yaml, "a.yaml")).success;

Deno.test("the JSON Schema accepts every shipped configuration, lists that are sweeps, ablations and short forms", () => {
  for (const [name, yaml] of Object.entries(SHIPPED_CONFIGS)) assert.ok(isAccepted(yaml), name);
  for (
    const yaml of [
      "seed: [1, 2]",
      "optimizer: { lr: [1e-3, 3e-3], betas: [0.9, 0.95] }",
      "optimizer: { betas: [[0.9, 0.95], [0.9, 0.99]], momentum: [null, 0.9] }",
      "model: { dim: [32, 64], block: { attention: { activation: [softmax, sigmoid], bias: [auto, -2] } } }",
      "model: [{ dim: 32 }, { dim: 64 }]",
      "model: { blocks: [{ norm: [layernorm, rmsnorm] }, { mlp: { factor: 2 } }] }",
      "data: { files: [[a.txt], [b.txt, c.txt]] }",
      "hooks: { file: mine.ts, share: [0.1, 0.2] }",
      "track: [{ every: [1, 10] }]",
      "track: everything",
      "track: { select: 'act:**', every: 2 }",
      "track:",
      "capture: { layers: 1, heads: [0, 2], every: 200 }",
      "train: { freeze: embed.weight }",
      "ablations: { no_positions: model.positions=none, narrow: [model.dim=32, model.heads=2] }",
    ]
  ) assert.ok(isAccepted(yaml), yaml);
});

Deno.test("the JSON Schema accepts a root key that holds anchors, and no such key elsewhere", () => {
  assert.ok(schema.safeParse({ ".sizes": { dim: 32 }, seed: 1 }).success);
  assert.ok(!schema.safeParse({ model: { ".sizes": 1 } }).success);
});

Deno.test("the JSON Schema refuses lists of invalid values, empty lists, and lists for keys that cannot be swept", () => {
  for (
    const yaml of [
      "seed: [1, x]",
      "seed: []",
      "seed: [[1]]",
      "name: [a, b]",
      "output: { dir: [a, b] }",
      "model: { dim: [0, 32] }",
      "model: { dims: [32] }",
      "model: { blocks: [{ nrm: rmsnorm }] }",
      "optimizer: { betas: [0.9] }",
      "optimizer: { betas: [[0.9], [0.9, 0.95]] }",
      "data: { files: [[[a.txt]]] }",
      "track: { evry: 10 }",
      "track: [{ every: 0 }]",
      "ablations: [model.positions=none]",
      "ablations: { none: [] }",
    ]
  ) assert.ok(!isAccepted(yaml), yaml);
});
