// The CPU device: same bytes for any number of threads, memory that is freed, failures that are named.
import assert from "node:assert/strict";
import { cpuDevice } from "../../../src/device/cpu/device.ts";
import { hostFeatures } from "../../../src/device/cpu/features.ts";
import { WORDS } from "../../../src/device/cpu/heap.ts";
import type { Graph } from "../../../src/device/plan.ts";
import { apply, input, type Op, type Simd, state, type Tensor } from "../../../src/graph/mod.ts";
import { assign } from "../../../src/graph/mod.ts";
import { elementwise } from "../../../kernels/elementwise/op.ts";
import { atomic, f32x4, i32, load } from "../../../src/wasm/mod.ts";

const HOST = hostFeatures();
const BLOCK = 64;

/** y = x + 1 in blocks of 64 elements; `simd` overrides the WebAssembly half. */
function increment(blocks: number, simd?: () => Simd | undefined): Op {
  return {
    name: "increment",
    infer: ([x]) => [{ shape: x.shape, dtype: "f32" }],
    lower: () => ({ dispatches: [] }),
    cpu([x], [y]) {
      for (let i = 0; i < y.length; i++) y[i] = x[i] + 1;
    },
    simd: simd ?? (() => ({
      own: BLOCK,
      phases: [{
        label: "increment",
        blocks,
        kernel(f, block, { inputs: [x], outputs: [y], own }) {
          const from = f.let(i32.mul(block, 4 * BLOCK));
          // Through the thread's own memory, so that two threads in one place would be seen.
          f.loop(0, 4 * BLOCK, 16, (i) => {
            f.store(i32.add(own, i), f32x4.add(load("v128", i32.add(x, i32.add(from, i))), 1));
          });
          f.loop(0, 4 * BLOCK, 16, (i) => {
            f.store(i32.add(y, i32.add(from, i)), load("v128", i32.add(own, i)));
          });
        },
      }],
    })),
  };
}

const incremented = (x: Tensor, times: number, op: Op): Tensor =>
  Array.from({ length: times }).reduce<Tensor>((y) => apply(op, [y], undefined)[0], x);

/** x + 24 over `blocks` blocks, with an operation in TypeScript in the middle. */
function sum(blocks: number): { graph: Graph; feeds: Record<string, Float32Array> } {
  const x = input("x", [blocks * BLOCK]);
  const first = incremented(x, 12, increment(blocks));
  const middle = apply(increment(blocks, () => undefined), [first], undefined)[0];
  const y = incremented(middle, 11, increment(blocks));
  return {
    graph: { outputs: { y } },
    feeds: { x: Float32Array.from({ length: blocks * BLOCK }, (_, i) => i % 97) },
  };
}

Deno.test("a program computes the same with 1, 2, 3 and 9 threads, with more threads than blocks, and with one block", async () => {
  for (const blocks of [1, 2, 7, 100]) {
    const { graph, feeds } = sum(blocks);
    for (const threads of [1, 2, 3, 9]) {
      using device = cpuDevice({ threads });
      using program = await device.compile(graph);
      assert.deepEqual(program.inTypeScript, ["increment"]);
      for (let run = 0; run < 20; run++) {
        program.run(feeds);
        const [y] = await program.read(["y"]);
        assert.ok(y.every((value, i) => value === feeds.x[i] + 24), `${blocks} blocks, ${threads} threads`);
      }
    }
  }
});

Deno.test("a profile names each part with its milliseconds, and computes the same", async () => {
  const { graph, feeds } = sum(7);
  for (const threads of [1, 2]) {
    using device = cpuDevice({ threads });
    using program = await device.compile(graph);
    const timings = program.profile(feeds);
    assert.deepEqual([...new Set(timings.map(({ label }) => label))], ["increment"]);
    assert.equal(timings.length, 24);
    assert.ok(timings.every(({ ms }) => ms >= 0));
    assert.equal((await program.read(["y"]))[0][0], 24);
  }
});

Deno.test("programs are compiled while another one is used, and run in turn", async () => {
  using device = cpuDevice({ threads: 3 });
  const graphs = [7, 30, 100].map(sum);
  const programs = await Promise.all(graphs.map(({ graph }) => device.compile(graph)));
  for (let round = 0; round < 10; round++) {
    const late = device.compile(graphs[1].graph);
    for (const [k, program] of programs.entries()) {
      program.run(graphs[k].feeds);
      const [y] = await program.read(["y"]);
      assert.ok(y.every((value, i) => value === graphs[k].feeds.x[i] + 24));
    }
    using _ = await late;
  }
});

Deno.test("two devices are independent, and both go on while the other is closed", async () => {
  const { graph, feeds } = sum(20);
  using first = cpuDevice({ threads: 2 });
  using a = await first.compile(graph);
  {
    using second = cpuDevice({ threads: 2 });
    using b = await second.compile(graph);
    b.run(feeds);
    a.run(feeds);
    assert.deepEqual(await b.read(["y"]), await a.read(["y"]));
  }
  a.run(feeds);
  assert.equal((await a.read(["y"]))[0][0], 24);
});

Deno.test("a closed program's memory is used again: a thousand programs need no more than one", async () => {
  using device = cpuDevice({ threads: 1 });
  const { graph } = sum(100);
  const bytes = async (): Promise<number> => {
    using _ = await device.compile(graph);
    return device.memory();
  };
  const first = await bytes();
  for (let k = 0; k < 1000; k++) assert.equal(await bytes(), first);
  assert.equal(device.memory(), 0);
});

Deno.test("states keep their values while memory grows, shared or not", async () => {
  for (const shared of [true, false]) {
    using device = cpuDevice({ threads: 1, features: { ...HOST, shared } });
    device.define("x", { shape: [BLOCK], dtype: "f32" }, new Float32Array(BLOCK).fill(5));
    const x = state("x", [BLOCK]);
    using program = await device.compile({ effects: [assign(x, elementwise("x + 1", { x }))] });
    program.run();
    device.define("large", { shape: [3_000_000], dtype: "f32" });
    program.run();
    assert.equal((await device.read(["x"]))[0][0], 7, `shared: ${shared}`);
  }
});

Deno.test("an error in an operation's TypeScript half is thrown as it is, and the next run works", async () => {
  let fails = true;
  const op = increment(8, () => undefined);
  const failing: Op = {
    ...op,
    cpu(inputs, outputs, call) {
      if (fails) throw new RangeError("no number is right");
      op.cpu(inputs, outputs, call);
    },
  };
  for (const threads of [1, 2, 3]) {
    using device = cpuDevice({ threads });
    const x = input("x", [8 * BLOCK]);
    const y = incremented(apply(failing, [incremented(x, 2, increment(8))], undefined)[0], 2, increment(8));
    using program = await device.compile({ outputs: { y } });
    const feeds = { x: new Float32Array(8 * BLOCK) };
    fails = true;
    assert.throws(() => program.run(feeds), new RangeError("no number is right"));
    fails = false;
    program.run(feeds);
    assert.equal((await program.read(["y"]))[0][0], 5);
  }
});

Deno.test("a thread that fails is named in one error, not a hang, and the next run works", async () => {
  // Block 4 is the first of thread 1's range. Thread 0 waits in block 0 until thread 1 has failed, so it cannot take block 4.
  const trap = increment(8, () => ({
    phases: [{
      label: "trap",
      blocks: 8,
      kernel(f, block, { inputs: [x], outputs: [y] }) {
        f.if(load("i32", x), () => {
          f.if(i32.eq(block, 4), () => f.trap());
          f.if(i32.eqz(block), () => f.while(() => i32.eqz(atomic.load(WORDS.failed)), () => {}));
        });
        f.store(y, load("f32", x));
      },
    }],
  }));
  using device = cpuDevice({ threads: 2 });
  const y = incremented(apply(trap, [input("x", [8 * BLOCK])], undefined)[0], 2, increment(8));
  using program = await device.compile({ outputs: { y } });
  assert.throws(
    () => program.run({ x: new Float32Array(8 * BLOCK).fill(1) }),
    /^Error: CPU thread 1 failed: RuntimeError: unreachable/,
  );
  program.run({ x: new Float32Array(8 * BLOCK) });
  assert.equal((await program.read(["y"]))[0][0], 2);
});

Deno.test("without shared memory, or with one core, there is one thread; without vectors, one line that names the reference device", async () => {
  const { graph, feeds } = sum(7);
  using device = cpuDevice({ threads: 4, features: { ...HOST, shared: false } });
  assert.equal(device.threads, 1);
  using single = cpuDevice({ features: { ...HOST, cores: 1 } });
  assert.equal(single.threads, 1);
  using program = await device.compile(graph);
  program.run(feeds);
  assert.equal((await program.read(["y"]))[0][0], 24);
  assert.throws(
    () => cpuDevice({ features: { ...HOST, simd: false } }),
    /^UserError: device: .* use --device reference\.$/,
  );
});

Deno.test("more memory than 4 GiB is refused in one line before anything is allocated", async () => {
  using device = cpuDevice({ threads: 1, memory: Infinity });
  const x = state("x", [500_000_000]);
  const graph: Graph = { effects: [assign(x, incremented(x, 3, increment(500_000_000 / BLOCK)))] };
  assert.throws(() => device.check([device.plan(graph)]), /4 GiB.*--device reference/);
  await assert.rejects(device.compile(graph), /4 GiB.*--device reference/);
  assert.equal(device.memory(), 0);
});
