// Matrices larger than the adapter's binding limit: parts give the same results as the entire matrix.
import assert from "node:assert/strict";
import { embedding } from "../../kernels/embedding/op.ts";
import { linear } from "../../kernels/matmul/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { rowParts } from "../../kernels/row_parts.ts";
import { webgpuDevice } from "../../src/device/webgpu.ts";
import { input, state, view } from "../../src/graph/structure.ts";
import { adapterThat } from "../device/devices.ts";
import { type Case, evaluate, randomInput, webgpuDevices } from "./harness.ts";

Deno.test("rowParts() covers every row once, in parts that fit and start at valid binding offsets", () => {
  assert.deepEqual(rowParts(100, 16, 6400), [{ first: 0, rows: 100, range: undefined }]);
  for (
    const [rows, width, most] of [[50257, 768, 2 ** 27], [1000, 16, 8192], [129, 4, 1024], [129, 3, 800]]
  ) {
    const parts = rowParts(rows, width, most);
    assert.ok(parts.length > 1);
    let next = 0;
    for (const { first, rows: count, range } of parts) {
      assert.deepEqual([first, range], [next, { offset: first * width, size: count * width }]);
      assert.ok(4 * range!.size <= most && range!.offset % 64 === 0);
      next += count;
    }
    assert.equal(next, rows);
  }
});

/** A WebGPU device like the machine's with a limit of bytes per binding. */
async function narrowDevice(bytes: number, kind: "software" | "gpu") {
  const adapter = await adapterThat();
  const { limits } = adapter;
  const names = [
    "maxBufferSize",
    "maxStorageBuffersPerShaderStage",
    "maxComputeWorkgroupStorageSize",
    "maxComputeInvocationsPerWorkgroup",
  ] as const;
  const common = Object.fromEntries(names.map((name) => [name, limits[name]]));
  return await webgpuDevice({
    info: adapter.info,
    limits: { ...common, maxStorageBufferBindingSize: bytes },
    requestDevice: () => adapter.requestDevice({}),
  } as unknown as GPUAdapter, kind);
}

Deno.test("embedding() and linear() of a table bound in parts are bitwise equal to those of the entire table", async () => {
  const cases = ([V, D, M]: number[], activation?: "gelu"): Case => {
    const rng = randomStream(V, "row parts");
    const feeds: Case["feeds"] = {};
    const x = randomInput(rng, feeds, "x", [M, D]);
    const bias = randomInput(rng, feeds, "bias", [V]);
    const addend = randomInput(rng, feeds, "addend", [M, V]);
    // A part of a state that is larger than the limit, as a model's parameters are.
    const table = view(state(`parameters ${V}`, [64 * 9 + V * D]), [V, D], 64 * 9);
    feeds.ids = Uint32Array.from({ length: 40 }, (_, i) => i < 4 ? [0, V - 1, V, V + 9][i] : rng.below(V));
    const y = linear(x, table, { bias, addend, activation });
    return { feeds, outputs: { y, rows: embedding(table, input("ids", [40], "u32")) } };
  };
  for (const wide of await webgpuDevices()) {
    using narrow = await narrowDevice(32768, wide.target!.kind);
    for (const [sizes, activation] of [[[500, 32, 5], undefined], [[1001, 16, 3], "gelu"]] as const) {
      const testCase = cases([...sizes], activation);
      const [V, D] = sizes;
      const rng = randomStream(V, "parameters");
      const parameters = Float32Array.from({ length: 64 * 9 + V * D }, () => rng.normal());
      for (const device of [wide, narrow]) {
        device.define(`parameters ${V}`, { shape: [parameters.length], dtype: "f32" }, parameters);
      }
      assert.ok(4 * V * D > 32768);
      assert.deepEqual(await evaluate(narrow, testCase), await evaluate(wide, testCase));
    }
  }
});
