// Configurations by key, and differences of two.
import assert from "node:assert/strict";
import { configKeys, diffConfigs } from "../../src/config/diff.ts";

Deno.test("diffConfigs() lists keys that differ or are in only one, and nothing for equal configurations", () => {
  const a = { seed: 1, model: { dim: 64, blocks: [{ window: 2 }], tied: null }, files: [] };
  const b = {
    seed: 1,
    model: { dim: "64", blocks: [{ window: 2 }, { window: 3 }], tied: null },
    files: ["x"],
  };
  assert.deepEqual(diffConfigs(a, b), [
    { key: "model.dim", a: 64, b: "64" },
    { key: "files", a: [], b: undefined },
    { key: "model.blocks.1.window", a: undefined, b: 3 },
    { key: "files.0", a: undefined, b: "x" },
  ]);
  assert.deepEqual(diffConfigs(a, structuredClone(a)), []);
});

Deno.test("configKeys() lists the path of every leaf, including empty collections", () => {
  assert.deepEqual([...configKeys({ a: { b: [1, { c: null }], d: {} } })], [
    ["a.b.0", 1],
    ["a.b.1.c", null],
    ["a.d", {}],
  ]);
});
