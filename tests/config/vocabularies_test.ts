// Each vocabulary is one table, in the module that defines its meaning: the configuration accepts the table's keys, and
// the fields of an entry define the effect of a name.
import assert from "node:assert/strict";
import { SCHEDULES } from "../../kernels/optimizers/schedules.ts";
import { OPTIMIZERS } from "../../kernels/optimizers/table.ts";
import { defaultsOf } from "../../src/base/keys.ts";
import { resolveConfig } from "../../src/config/mod.ts";
import { type JsonSchema, runJsonSchema } from "../../src/config/schema.ts";
import { SAMPLINGS } from "../../src/data/batches.ts";
import { DEVICES } from "../../src/device/device.ts";
import { type Architecture, blockOf } from "../../src/nn/architecture.ts";
import { INITS, METHODS, MODEL_KEYS, NORM_ORDERS } from "../../src/nn/model_keys.ts";
import { NORMS } from "../../src/nn/norms.ts";
import { POSITIONS } from "../../src/nn/positions.ts";

const namesAt = (path: string): unknown => {
  const key = path.split(".").reduce<JsonSchema>((node, name) => node.properties![name], runJsonSchema());
  return (key as { enum?: unknown }).enum ?? (key.anyOf![0] as { enum?: unknown }).enum;
};

Deno.test("the names that a configuration accepts are the keys of the table that defines them", () => {
  for (
    const [path, table] of Object.entries({
      "model.positions": POSITIONS,
      "model.norm": NORMS,
      "model.block.norm": NORMS,
      "model.block.attention.qk_norm": NORMS,
      "model.block.norm_order": NORM_ORDERS,
      "model.block.attention.method": METHODS,
      "model.block.mlp.method": METHODS,
      "model.head.method": METHODS,
      "model.init.name": INITS,
      "optimizer.name": OPTIMIZERS,
      "schedule.name": SCHEDULES,
      "data.sampling": SAMPLINGS,
      device: { auto: {}, ...DEVICES },
    })
  ) assert.deepEqual(namesAt(path), Object.keys(table), path);
});

Deno.test("the default block of an architecture is the block of an empty configuration", () => {
  const { model } = resolveConfig({}, { place: "", name: "empty" });
  assert.deepEqual(model, defaultsOf(MODEL_KEYS));
  const open: Architecture = { ...model, vocabulary: 2, block: {}, blocks: undefined };
  const { norm, dropout } = model;
  assert.deepEqual(blockOf(open, 0), { ...model.block, norm, dropout });
});

Deno.test("a schedule that ends needs steps after its warmup, and one that never falls has no minimum rate", () => {
  for (const [name, { ends, flat }] of Object.entries(SCHEDULES)) {
    const of = (schedule: object) => () =>
      resolveConfig({ schedule: { name, ...schedule } }, { place: "", name: "x" });
    (ends ? assert.throws : assert.doesNotThrow)(of({ warmup: 20, steps: 10 }));
    (flat ? assert.doesNotThrow : assert.throws)(of({ min_lr: 1 }));
  }
});
