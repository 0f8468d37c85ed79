// What packs and in-place operations may share, and what the plan rejects: a tensor that would show numbers it never had.
import assert from "node:assert/strict";
import { add, scale, sumAll } from "../../kernels/elementwise/op.ts";
import { plan } from "../../src/device/plan.ts";
import { assign, constant, input, pack, record, reshape, state, view } from "../../src/graph/structure.ts";
import { scope, type Target, type Tensor, type Values } from "../../src/graph/tensor.ts";
import { everyDevice } from "./devices.ts";

const TARGET: Target = { kind: "software", maxBindingBytes: 2 ** 27, maxWorkgroupBytes: 2 ** 14 };
const slot = () => input("slot", [1], "u32");
const zero = { slot: Uint32Array.of(0) };
const count = (n: number, from = 1): number[] => Array.from({ length: n }, (_, i) => from + i);

/** Runs a graph on every device; its outputs must be these numbers, which float32 holds exactly. */
function expectNumbers(
  outputs: () => Record<string, Tensor>,
  feeds: Record<string, Values>,
  expected: Record<string, number[]>,
): Promise<void> {
  return everyDevice(async (device, where) => {
    using program = await device.compile({ outputs: outputs() });
    for (let run = 0; run < 2; run++) {
      program.run(feeds);
      const values = await program.read(Object.keys(expected));
      Object.keys(expected).forEach((name, i) => {
        assert.deepEqual([...values[i]], expected[name], `${where}, ${name}, run ${run}`);
      });
    }
  });
}

const x = () => input("x", [64]);
const feeds = { x: Float32Array.from(count(64)), ...zero };
const tripled = count(64).map((v) => 3 * v);

Deno.test("a pack that takes the same memory twice contains it twice", () =>
  expectNumbers(
    () => {
      const y = scale(x(), 3);
      return { both: pack([y, y], [0, 64], 128) };
    },
    feeds,
    { both: [...tripled, ...tripled] },
  ));

Deno.test("a pack that takes a tensor and a part of it contains both", () => {
  const wide = Float32Array.from(count(128));
  return expectNumbers(
    () => {
      const y = scale(input("x", [128]), 3);
      return {
        both: pack([y, view(y, [64], 64)], [0, 128], 192),
        part: pack([view(y, [64], 64), y], [0, 64], 192),
      };
    },
    { x: wide },
    {
      both: [...wide].map((v) => 3 * v).concat(count(64, 65).map((v) => 3 * v)),
      part: count(64, 65).map((v) => 3 * v).concat([...wide].map((v) => 3 * v)),
    },
  );
});

Deno.test("a part's other shape is computed in the pack too, and one that two packs take is copied to the second", () => {
  const y = scale(x(), 3);
  const [first, second] = [pack([reshape(y, [8, 8])], [64], 128), pack([y], [64], 128)];
  const { steps } = plan({ outputs: { first, second } }, TARGET);
  const copies = [first, second].map(({ node }) => {
    return steps.find((step) => step.node === node)!.lowered.dispatches.length;
  });
  assert.deepEqual(copies, [0, 1]);
});

Deno.test("no copy into a pack reads the pack's buffer: WebGPU forbids a dispatch to read what it writes", () => {
  const [y, z] = [scale(x(), 3), scale(x(), 4)];
  const packed = pack([y, view(y, [10]), z, y], [0, 64, 128, 192], 256);
  const step = plan({ outputs: { packed } }, TARGET).steps.find(({ node }) => node === packed.node)!;
  const inPack = step.inputs.map((place) => place.buffer === step.outputs[0].buffer);
  assert.deepEqual(inPack, [false, false, true, false]);
  assert.deepEqual(step.lowered.dispatches.map(({ bindings }) => bindings[0]), [["input", 0], ["input", 1], [
    "input",
    3,
  ]]);
});

Deno.test("a pack keeps its numbers if a part is replaced in place afterwards", () =>
  expectNumbers(
    () => {
      const y = scale(x(), 3);
      const packed = pack([y], [64], 128);
      const replaced = record(reshape(y, [1, 64]), x(), slot());
      return { packed, replaced };
    },
    feeds,
    { packed: [...new Array(64).fill(0), ...tripled], replaced: count(64) },
  ));

Deno.test("a part keeps its numbers if the pack that took it is replaced in place afterwards", () =>
  expectNumbers(
    () => {
      const y = scale(x(), 3);
      const packed = assign(pack([y], [0], 128), x());
      return { packed, doubled: scale(y, 2) };
    },
    feeds,
    { packed: [...count(64), ...new Array(64).fill(0)], doubled: tripled.map((v) => 2 * v) },
  ));

Deno.test("an output that reads a replaced state is an error that names both, also through a view", () => {
  const table = state("table", [2, 64]);
  const part = view(table, [64], 64);
  const next = record(table, x(), slot());
  const message = /^Error: Output old reads a tensor after record replaced it\.$/;
  assert.throws(() => plan({ outputs: { old: table, next } }), message);
  assert.throws(() => plan({ outputs: { old: part }, effects: [next] }), message);
  assert.throws(() => plan({ outputs: { old: next }, effects: [record(next, x(), slot())] }), message);
  const twice = record(next, x(), slot());
  plan({ outputs: { new: twice, part: view(twice, [64], 64) }, effects: [next] });
});

Deno.test("two nodes of one state share memory: reading the second after the first's replacement throws", () => {
  const next = assign(state("w", [128]), x(), 64);
  const late = () => scale(state("w", [128]), 2);
  assert.throws(
    () => plan({ outputs: { next, late: late() } }),
    /elementwise reads a tensor after assign replaced it/,
  );
  const early = sumAll(state("v", [128]));
  plan({ outputs: { sum: early, next: assign(state("v", [128]), x()) } });
});

Deno.test("an in-place operation on a constant, an input or a view of one is rejected with its path", () => {
  const onto = (target: Tensor) => () =>
    plan({ outputs: { y: scope("blocks.0", () => assign(target, x())) } });
  assert.throws(
    onto(constant(2, [64])),
    /^Error: assign at blocks\.0 would replace the constant f32\[64\]: only/,
  );
  assert.throws(onto(view(input("w", [128]), [64], 64)), /would replace the input f32\[128\]: only states/);
  onto(state("w", [64]))();
  onto(add(input("w", [64]), constant(2, [64])))();
});

Deno.test("a result may be replaced in place if its old numbers are read before", () =>
  expectNumbers(
    () => {
      const y = scale(x(), 3);
      const sum = sumAll(y);
      return { sum, replaced: assign(y, x()) };
    },
    feeds,
    { sum: [3 * 32 * 65], replaced: count(64) },
  ));
