// Both devices behind their common interface: inputs, outputs, their order, and how errors are reported.
import assert from "node:assert/strict";
import { multiply, scale, sumAll } from "../../kernels/elementwise/op.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { constant, input, record, state, view } from "../../src/graph/structure.ts";
import { apply, type Dispatch, type Op, scope, type Spec } from "../../src/graph/tensor.ts";
import { webgpuDevices } from "../kernels/harness.ts";
import { everyDevice, fresh } from "./devices.ts";

Deno.test("a state is zeros until defined, keeps its numbers between runs and programs, and can be set again", () =>
  everyDevice(async (device, where) => {
    const name = fresh("w");
    const w = state(name, [3]);
    using program = await device.compile({ outputs: { y: scale(w, 2) } });
    const run = async () => {
      program.run();
      return Array.from((await program.read(["y"]))[0]);
    };
    assert.deepEqual(await run(), [0, 0, 0], where);
    device.define(name, w, Float32Array.of(1, 2, 3));
    assert.deepEqual(await run(), [2, 4, 6], where);
    using other = await device.compile({ outputs: { y: sumAll(w) } });
    other.run();
    assert.deepEqual(Array.from((await other.read(["y"]))[0]), [6], where);
    device.define(name, w);
    assert.deepEqual(await run(), [0, 0, 0], where);
    assert.deepEqual(Array.from((await device.read([name]))[0]), [0, 0, 0], where);
  }));

Deno.test("float64 and u32 arrays of the host are converted to the device's type", () =>
  everyDevice(async (device, where) => {
    const [x, n] = [input("x", [2]), input("n", [3], "u32")];
    using program = await device.compile({ outputs: { y: scale(x, 1), x, n } });
    program.run({ x: Float64Array.of(1 / 3, -2), n: Uint32Array.of(0, 7, 0xffffffff) });
    const [y, back, u] = await program.read(["y", "x", "n"]);
    const third = y instanceof Float64Array ? 1 / 3 : Math.fround(1 / 3);
    assert.deepEqual([...y, ...back], [third, -2, third, -2], where);
    assert.ok(u instanceof Uint32Array, where);
    assert.deepEqual([...u], [0, 7, 0xffffffff], where);
  }));

Deno.test("constants, inputs, states and views of them can be read as outputs", () =>
  everyDevice(async (device, where) => {
    const name = fresh("w");
    const w = state(name, [130]);
    device.define(name, w, Float32Array.from({ length: 130 }, (_, i) => i));
    const outputs = { c: constant(2.5, [3]), part: view(w, [2], 128), x: input("x", [1]) };
    using program = await device.compile({ outputs });
    program.run({ x: Float32Array.of(9) });
    const values = await program.read(["c", "part", "x"]);
    assert.deepEqual(values.map((v) => [...v]), [[2.5, 2.5, 2.5], [128, 129], [9]], where);
  }));

Deno.test("a read returns the values as of its call, even if later runs follow before it is awaited", () =>
  everyDevice(async (device, where) => {
    const name = fresh("log");
    const table = state(name, [2, 3]);
    const x = input("x", [3]);
    const next = record(table, scale(x, 10), input("slot", [1], "u32"));
    using program = await device.compile({ outputs: { y: multiply(x, x) }, effects: [next] });
    const run = (x: number[], slot: number) =>
      program.run({ x: Float32Array.from(x), slot: Uint32Array.of(slot) });
    run([1, 2, 3], 0);
    const early = [program.read(["y"]), device.read([name])];
    run([4, 5, 6], 1);
    run([7, 8, 9], 0);
    const late = [program.read(["y"]), device.read([name])];
    const values = (await Promise.all([...early, ...late])).map(([v]) => [...v]);
    assert.deepEqual(
      values,
      [[1, 4, 9], [10, 20, 30, 0, 0, 0], [49, 64, 81], [70, 80, 90, 40, 50, 60]],
      where,
    );
  }));

Deno.test("setting a state is ordered with the runs around it", () =>
  everyDevice(async (device, where) => {
    const name = fresh("w");
    const w = state(name, [1]);
    const total = state(fresh("total"), [3, 1]);
    const slot = input("slot", [1], "u32");
    using program = await device.compile({ outputs: { all: record(total, scale(w, 1), slot) } });
    for (const [k, value] of [5, 6, 7].entries()) {
      device.define(name, w, Float32Array.of(value));
      program.run({ slot: Uint32Array.of(k) });
    }
    assert.deepEqual([...(await program.read(["all"]))[0]], [5, 6, 7], where);
  }));

Deno.test("read() returns copies: the next run does not change them", () =>
  everyDevice(async (device, where) => {
    using program = await device.compile({ outputs: { y: scale(input("x", [1]), 1) } });
    program.run({ x: Float32Array.of(1) });
    const [before] = await program.read(["y"]);
    program.run({ x: Float32Array.of(2) });
    assert.equal(before[0], 1, where);
  }));

const broken = (source: string, bindings: Dispatch["bindings"] = { 0: ["output", 0] }): Op<undefined> => ({
  name: "broken",
  infer: ([x]) => [x],
  lower: () => ({
    dispatches: [{ label: "broken kernel", source, constants: {}, bindings, workgroups: [1, 1, 1] }],
  }),
  cpu: () => {},
});

Deno.test("invalid WGSL is an error at compilation that names the kernel, its path and the line; the device still works", async () => {
  const [device] = await webgpuDevices();
  const source = `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main() { y[0] = missing_name; }`;
  const y = scope("blocks.1", () => apply(broken(source), [input("x", [1])], undefined)[0]);
  await assert.rejects(
    () => device.compile({ outputs: { y } }),
    (error: Error) =>
      /WGSL of broken kernel at blocks\.1: .*missing_name/s.test(error.message) &&
      /2 @compute/.test(error.message),
  );
  const unbound = apply(broken(source.replace("missing_name", "1f"), {}), [input("x", [1])], undefined)[0];
  await assert.rejects(
    () => device.compile({ outputs: { unbound } }),
    /broken kernel: nothing is bound at 0/,
  );
  using program = await device.compile({ outputs: { z: scale(input("x", [1]), 3) } });
  program.run({ x: Float32Array.of(2) });
  assert.equal((await program.read(["z"]))[0][0], 6);
});

Deno.test("a tensor larger than one binding is a UserError, with its size, the limit and a remedy", async () => {
  for (const device of await webgpuDevices()) {
    const elements = device.target!.maxBindingBytes / 4 + 64;
    const graph = { outputs: { y: sumAll(input("too large", [elements])) } };
    await assert.rejects(
      () => device.compile(graph),
      (error: Error) =>
        error instanceof UserError &&
        /^too large needs [\d.]+ MiB .* limit .* MiB: use a smaller batch/.test(error.message),
    );
    // A state may be larger, and is rejected if a kernel binds more of it at once than the limit.
    const sum = sumAll(state(fresh("large"), [elements]));
    await assert.rejects(
      () => device.compile({ outputs: { sum } }),
      (error: Error) =>
        error instanceof UserError && /, which takes state large \d+, needs [\d.]+ MiB/.test(error.message),
    );
    const most: Spec = { shape: [2 ** 40], dtype: "f32" };
    assert.throws(() => device.define(fresh("huge"), most), UserError);
  }
});

Deno.test("WebGPU reports its adapter, and gives kernels the adapter's limits", async () => {
  for (const device of await webgpuDevices()) {
    assert.equal(device.kind, "webgpu");
    assert.ok(device.adapter.length > 0);
    assert.ok(
      device.target!.maxBindingBytes >= 128 * 2 ** 20 && device.target!.maxWorkgroupBytes >= 16 * 2 ** 10,
    );
  }
  using device = referenceDevice();
  assert.deepEqual([device.kind, device.software, device.target], ["reference", true, undefined]);
});
