// Views, packs and other memory layout: what they reject on creation, and that copies keep every bit.
import assert from "node:assert/strict";
import { scale } from "../../kernels/elementwise/op.ts";
import { plan } from "../../src/device/plan.ts";
import { UserError } from "../../src/base/errors.ts";
import { assign, constant, input, pack, record, state, view } from "../../src/graph/structure.ts";
import { apply, type Op, scope, type Target } from "../../src/graph/tensor.ts";
import { everyDevice, fresh } from "../device/devices.ts";
import { checkThreads } from "../kernels/simd_cases.ts";

const failure = (message: RegExp) => (error: Error) =>
  error instanceof UserError && message.test(error.message);

Deno.test("a tensor without elements is a UserError with the path, the operation and the shape", () => {
  assert.throws(
    () => scope("blocks.0", () => scope("attn", () => input("x", [4, 0]))),
    failure(/^blocks\.0\.attn: input x: expected sizes .+ of at least 1, found f32\[4, 0\]\.$/),
  );
  assert.throws(() => state("w", [0], "u32"), failure(/^state w: .+ found u32\[0\]\.$/));
  assert.throws(() => constant(1, [0]), failure(/^constant: .+ found f32\[0\]\.$/));
  assert.throws(() => view(input("x", [64]), [0]), failure(/^view: .+ found f32\[0\]/));
  const half: Op<undefined> = {
    name: "half",
    infer: ([x]) => [x, { shape: [x.shape[0] / 2], dtype: "f32" }],
    lower: () => ({ dispatches: [] }),
    cpu: () => {},
  };
  assert.throws(() => apply(half, [input("x", [3])], undefined), failure(/^half: .+ found f32\[1\.5\]\.$/));
  assert.throws(() => input("x", [-1]), failure(/found f32\[-1\]/));
  assert.throws(() => input("x", [NaN]), failure(/found f32\[NaN\]/));
  assert.deepEqual(input("x", []).shape, []);
});

Deno.test("pack() rejects parts that overlap, are outside or have another type", () => {
  const [a, b] = [input("a", [64]), input("b", [10])];
  assert.throws(
    () => pack([a, b], [0, 63], 128),
    failure(/^pack at 0, 63 of 128: expected .+ f32\[64\] and f32\[10\]/),
  );
  assert.throws(() => pack([b, a], [63, 0], 128), UserError);
  assert.throws(() => pack([a, b], [0, 128], 137), UserError);
  assert.throws(() => pack([a, b], [-1, 64], 128), UserError);
  assert.throws(() => pack([a, input("ids", [4], "u32")], [0, 64], 128), UserError);
  assert.deepEqual(pack([b, a], [64, 0], 74).shape, [74]);
});

Deno.test("record() rejects a row of another type", () => {
  const [row, slot] = [input("row", [4], "u32"), input("slot", [1], "u32")];
  assert.throws(() => record(state("table", [2, 4]), row, slot), failure(/^record: .+ u32\[4\]/));
});

// A signalling NaN, the smallest denormal, infinity's neighbours, and integers that no f32 represents.
const BITS = Uint32Array.of(0x7f800001, 1, 0xff800001, 0x7fffffff, 0xffffffff, 0x80000000, 16777217, 0);

Deno.test("packs, records and assignments of u32 keep every bit, complete and by parts", () =>
  everyDevice(async (device, where) => {
    const [ids, more] = [input("ids", [8], "u32"), input("more", [100], "u32")];
    const [table, target] = [state(fresh("table"), [3, 8], "u32"), state(fresh("target"), [72], "u32")];
    const packed = pack([ids, more, ids], [128, 0, 192], 200);
    const graph = {
      packed,
      part: view(packed, [8], 128),
      again: pack([view(packed, [8], 192), packed], [256, 0], 264),
      table: record(table, view(packed, [8], 128), input("slot", [1], "u32")),
      target: assign(target, ids, 64),
    };
    using program = await device.compile({ outputs: graph });
    const many = Uint32Array.from({ length: 100 }, (_, i) => 0x7f800001 + 977 * i);
    program.run({ ids: BITS, more: many, slot: Uint32Array.of(2) });
    const expected = new Uint32Array(200);
    expected.set(many);
    expected.set(BITS, 128);
    expected.set(BITS, 192);
    const zeros = (n: number): number[] => new Array(n).fill(0);
    const results = await program.read(Object.keys(graph));
    assert.deepEqual(
      results.map((v) => [...v]),
      [[...expected], [...BITS], [...expected, ...zeros(56), ...BITS], [...zeros(16), ...BITS], [
        ...zeros(64),
        ...BITS,
      ]],
      where,
    );
  }));

Deno.test("no copy uses float arithmetic, whatever the tensors' type", () => {
  const target: Target = { kind: "gpu", maxBindingBytes: 2 ** 27, maxWorkgroupBytes: 2 ** 14 };
  const x = input("x", [64]);
  const copies = [
    pack([x], [0], 64),
    assign(state("w", [64]), scale(x, 2)),
    record(state("t", [2, 64]), x, input("s", [1], "u32")),
  ];
  const { steps } = plan({ effects: copies }, target);
  const sources = steps.flatMap(({ node, lowered }) =>
    copies.some((y) => y.node === node) ? lowered.dispatches : []
  );
  assert.equal(sources.length, 3);
  for (const { source } of sources) assert.doesNotMatch(source, /array<f32>/);
});

Deno.test("long packs, records and assignments are the same bytes for any number of threads", () => {
  // Copies have blocks of 32,768 elements; three of them, and a shorter one.
  const size = 100_001;
  const [x, slot] = [input("x", [size]), input("slot", [1], "u32")];
  const feeds = { x: Float32Array.from({ length: size }, (_, i) => i), slot: Uint32Array.of(1) };
  const outputs = {
    packed: pack([x], [64], size + 100),
    recorded: record(state("table", [3, size]), x, slot),
    assigned: assign(state("target", [size + 300]), x, 200),
  };
  return checkThreads({ feeds, outputs }, ["pack", "record", "assign"]);
});
