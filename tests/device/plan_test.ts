// The memory plan: random graphs in shared memory give the same results as with one array per tensor; packs are computed in
// place; states are replaced in place, and never read through an old tensor afterwards.
import assert from "node:assert/strict";
import { adamw } from "../../kernels/optimizers/adamw.ts";
import { elementwise, multiply, scale, sumAll, sumRows } from "../../kernels/elementwise/op.ts";
import { plus, tanh, times, variable } from "../../kernels/expression/expression.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { type Graph, plan, type Step } from "../../src/device/plan.ts";
import { ancestors } from "../../src/graph/gradient.ts";
import {
  constant,
  type ConstantAttrs,
  input,
  type Named,
  pack,
  record,
  reshape,
  state,
  view,
  type ViewAttrs,
} from "../../src/graph/structure.ts";
import { type Call, sizeOf, type Target, type Tensor, type Values } from "../../src/graph/tensor.ts";
import { between, relativeError, webgpuDevices } from "../kernels/harness.ts";

const TARGET: Target = { kind: "software", maxBindingBytes: 2 ** 27, maxWorkgroupBytes: 2 ** 14 };

type Numbers = Record<string, Values>;

/** Runs a graph with one array per tensor; states are replaced in `states`. */
function naive(outputs: Record<string, Tensor>, feeds: Numbers, states: Numbers): Numbers {
  const known = new Map<Tensor, Values>();
  for (const node of ancestors(Object.values(outputs))) {
    const inputs = node.inputs.map((x) => known.get(x)!);
    const [y] = node.outputs;
    const { role } = node.op;
    if (role === "view") {
      const { offset } = node.attrs as ViewAttrs;
      known.set(y, inputs[0].slice(offset, offset + sizeOf(y)));
    } else if (role === "input") known.set(y, feeds[(node.attrs as Named).name].slice());
    else if (role === "state") known.set(y, states[(node.attrs as Named).name].slice());
    else if (role === "constant") {
      known.set(y, new Float64Array(sizeOf(y)).fill((node.attrs as ConstantAttrs).value));
    } else {
      const results = node.outputs.map((out, i) => {
        const source = node.op.inplace?.[i];
        return source === undefined ? new Float64Array(sizeOf(out)) : inputs[source].slice();
      });
      const call: Call = {
        inputs: node.inputs,
        outputs: node.outputs,
        attrs: node.attrs,
        needed: node.outputs.map(() => true),
      };
      node.op.cpu(inputs, results, call);
      node.outputs.forEach((out, i) => known.set(out, results[i]));
    }
  }
  for (const [key, y] of Object.entries(outputs)) if (key in states) states[key] = known.get(y)!.slice();
  return Object.fromEntries(Object.entries(outputs).map(([key, y]) => [key, known.get(y)!]));
}

interface RandomGraph {
  readonly outputs: Record<string, Tensor>;
  readonly feeds: Numbers[];
  readonly states: Numbers;
}

const MIX = tanh(plus(variable("a"), times(0.7, variable("b"))));
const ROWS = 3;

/** A random graph of 10 to 40 nodes; its state's name is also that of the output that replaces it. */
function randomGraph(rng: RandomStream, name: string): RandomGraph {
  const width = between(rng, 1, 150);
  const [x, slot] = [input("x", [between(rng, 1, 9), width]), input("slot", [1], "u32")];
  let table = state(name, [ROWS, width]);
  const tensors = [x, table, constant(0.5, [width]), scale(x, 0.3)];
  // The tensor that owns another's memory.
  const base = new Map<Tensor, Tensor>();
  const baseOf = (t: Tensor): Tensor => base.has(t) ? baseOf(base.get(t)!) : t;
  const pick = (fits: (t: Tensor) => boolean = () => true): Tensor => {
    const candidates = tensors.filter(fits);
    return candidates[rng.below(candidates.length)];
  };
  const makers: (() => Tensor | undefined)[] = [
    () => {
      const a = pick();
      const b = pick((t) => sizeOf(t) === sizeOf(a) || sizeOf(t) === 1 || sizeOf(t) === a.shape.at(-1));
      return elementwise(MIX, { a, b });
    },
    () => {
      const a = pick((t) => t.shape.length === 2);
      return elementwise(MIX, { a, b: pick((t) => sizeOf(t) === a.shape[1] || sizeOf(t) === sizeOf(a)) });
    },
    () => sumRows(pick((t) => t.shape.length === 2)),
    () => {
      const a = pick();
      const y = rng.below(2)
        ? reshape(a, [sizeOf(a), 1])
        : view(a, [1, (sizeOf(a) - 1) % 64 + 1], 64 * Math.floor((sizeOf(a) - 1) / 64));
      base.set(y, a);
      return y;
    },
    () => {
      // The same memory may occur twice, completely or in part.
      const parts = [pick(), pick(), pick()];
      let size = 64 * rng.below(2);
      const offsets = parts.map((part) => {
        const at = size;
        size += 64 * (Math.ceil(sizeOf(part) / 64) + rng.below(2));
        return at;
      });
      return pack(parts, offsets, size);
    },
    () => {
      const row = pick((t) => sizeOf(t) === width && baseOf(t) !== table);
      const old = table;
      table = record(old, row, slot);
      // Tensors that would show the old numbers may not be read any more.
      tensors.splice(0, tensors.length, ...tensors.filter((t) => baseOf(t) !== old));
      return table;
    },
  ];
  for (let count = between(rng, 10, 40); count > 0; count--) {
    const tensor = makers[rng.below(12) % makers.length]();
    if (tensor) tensors.push(tensor);
  }
  const outputs: Record<string, Tensor> = { [name]: table };
  for (let k = 0; k < 5; k++) outputs[`y${k}`] = k ? pick() : tensors.at(-1)!;
  const draw = (n: number) => Float64Array.from({ length: n }, () => Math.fround(rng.normal()));
  const feeds = Array.from(
    { length: 3 },
    () => ({ x: draw(sizeOf(x)), slot: Uint32Array.of(rng.below(ROWS)) }),
  );
  return { outputs, feeds, states: { [name]: draw(ROWS * width) } };
}

/** Runs a random graph three times on a device: the largest error of an output, and whether all bits are equal. */
async function compare(
  device: Device,
  { outputs, feeds, states }: RandomGraph,
): Promise<{ error: number; same: boolean }> {
  const kept = Object.fromEntries(Object.entries(states).map(([name, values]) => [name, values.slice()]));
  for (const [name, values] of Object.entries(states)) {
    device.define(name, { shape: outputs[name].shape, dtype: "f32" }, values);
  }
  using program = await device.compile({ outputs });
  const names = Object.keys(outputs);
  let [error, same] = [0, true];
  for (const feed of feeds) {
    const expected = naive(outputs, feed, kept);
    program.run(feed);
    const results = await program.read(names);
    names.forEach((name, i) => {
      const difference = relativeError(results[i], expected[name]);
      error = Number.isNaN(difference) ? Infinity : Math.max(error, difference);
      same &&= results[i].every((value, k) => value === expected[name][k]);
    });
  }
  return { error, same };
}

Deno.test("200 random graphs in planned memory give bitwise the results of one array per tensor, run after run", async () => {
  using device = referenceDevice({ precision: "f64" });
  for (let k = 0; k < 200; k++) {
    const { same, error } = await compare(device, randomGraph(randomStream(k, "plan"), `table ${k}`));
    assert.ok(same, `graph ${k}: relative error ${error}`);
  }
});

Deno.test("random graphs on WebGPU, with their kernels' scratch memory, equal the same to float32", async () => {
  for (const device of await webgpuDevices()) {
    for (let k = 0; k < 12; k++) {
      const { error } = await compare(
        device,
        randomGraph(randomStream(k, "plan on WebGPU"), `planned table ${k}`),
      );
      // Sums feed tanh up to forty deep: rounding grows, a wrong buffer gives errors near 1.
      assert.ok(error < 1e-3, `graph ${k}, ${device.target!.kind} schedule: relative error ${error}`);
    }
  }
});

/** Whether a step reads and writes one buffer, against WebGPU's rule; packs and in-place operations may. */
function conflicts({ node, inputs, outputs, scratch }: Step): boolean {
  const written = [...outputs.filter((_, i) => node.op.inplace?.[i] === undefined), ...scratch].map((place) =>
    place.buffer
  );
  const allowed =
    new Set([...scratch, ...outputs].map((place) => place.buffer)).size === scratch.length + outputs.length;
  return !allowed ||
    inputs.some((place) => written.includes(place.buffer) && !place.buffer.name.startsWith("pack"));
}

Deno.test("no kernel writes a buffer that it reads, outside packs; scratch is separate; every slice is aligned and inside", () => {
  let dispatches = 0;
  for (let k = 0; k < 200; k++) {
    const planned = plan(randomGraph(randomStream(k, "plan"), "table"), TARGET);
    for (const step of planned.steps) {
      assert.ok(step.node.op.role === "pack" || !conflicts(step), `graph ${k}: ${step.node.op.name}`);
      for (const { buffer, offset, size } of [...step.inputs, ...step.outputs, ...step.scratch]) {
        assert.ok(
          offset % 64 === 0 && offset + size <= buffer.size,
          `graph ${k}: [${offset}, +${size}] of ${buffer.size}`,
        );
      }
    }
    dispatches += planned.dispatches;
  }
  assert.ok(dispatches > 2000, `${dispatches} dispatches: too few to prove anything`);
});

Deno.test("a chain of thirty operations lives in two buffers", () => {
  let y = input("x", [100]);
  for (let k = 0; k < 30; k++) y = scale(y, 1.01);
  const { buffers, memory } = plan({ outputs: { y } });
  assert.equal(buffers.filter((b) => b.kind === "arena").length, 2);
  assert.equal(memory.activations, 2 * 128 * 4);
});

Deno.test("scratch memory is released: five sums hold their five results and one more buffer", () => {
  const x = input("x", [6400, 1]);
  const outputs = Object.fromEntries([0, 1, 2, 3, 4].map((k) => [`sum ${k}`, sumRows(x)]));
  const { buffers, steps } = plan({ outputs }, TARGET);
  assert.ok(steps.every((step) => step.scratch.length === 1));
  assert.equal(buffers.filter((b) => b.kind === "arena").length, 6);
});

Deno.test("memory totals count blocks of 256 bytes by use, and a source once however many nodes name it", () => {
  const w = () => state("w", [100]);
  const x = () => input("x", [3]);
  const y = multiply(multiply(w(), constant(2)), multiply(w(), constant(2)));
  const { memory, flops } = plan({ outputs: { y, z: sumAll(multiply(x(), multiply(x(), constant(2)))) } });
  assert.equal(memory.states, 128 * 4);
  assert.equal(memory.inputs, 64 * 4 + 64 * 4);
  assert.ok(memory.activations >= 128 * 4 + 64 * 4 && memory.activations % 256 === 0);
  assert.equal(flops, 0);
});

Deno.test("one name with two shapes is an error that shows both", () => {
  const graph = { outputs: { y: scale(state("w", [3]), 2), z: scale(state("w", [4]), 2) } };
  assert.throws(() => plan(graph), /state w is f32\[3\] and f32\[4\]/);
});

/** Three results of kernels laid out with gaps: 30 numbers at 64, 65 at 128, 10 at 320, of 448. */
function gradientLike(): { packed: Tensor; parts: Tensor[] } {
  const x = input("x", [65]);
  const parts = [scale(view(x, [30]), 2), scale(x, 3), reshape(scale(view(x, [10]), 4), [2, 5])];
  return { packed: pack(parts, [64, 128, 320], 448), parts };
}

Deno.test("pack()'s inputs are computed in its buffer: no copy is dispatched", () => {
  const { packed } = gradientLike();
  const { steps } = plan({ outputs: { packed } }, TARGET);
  const taken = steps.find((step) => step.node === packed.node)!;
  assert.deepEqual(taken.lowered.dispatches, []);
  assert.deepEqual(taken.inputs.map((place) => [place.buffer === taken.outputs[0].buffer, place.offset]), [
    [true, 64],
    [true, 128],
    [true, 320],
  ]);
});

Deno.test("pack() copies what is stored elsewhere: inputs, parts of tensors, and tensors of an earlier pack", () => {
  const y = scale(input("x", [128]), 2);
  const first = pack([y], [0], 128);
  const second = pack([input("x", [128]), y, view(scale(y, 2), [64], 64)], [0, 128, 256], 320);
  const { steps } = plan({ outputs: { first, second } }, TARGET);
  const copies = (x: Tensor) => steps.find((step) => step.node === x.node)!.lowered.dispatches.length;
  assert.deepEqual([copies(first), copies(second)], [0, 3]);
});

Deno.test("packs hold their parts at their offsets, and zeros between them, in every run, beside other users of memory", async () => {
  const { packed, parts } = gradientLike();
  const elsewhere = scale(scale(scale(packed, -1), -1), 7);
  const copied = pack([input("x", [65]), parts[1]], [64, 192], 320);
  using reference = referenceDevice();
  for (const device of [reference, ...await webgpuDevices()]) {
    using program = await device.compile({ outputs: { packed, elsewhere, copied } });
    for (const factor of [1, 5]) {
      const x = Float32Array.from({ length: 65 }, (_, i) => factor * (i + 1));
      program.run({ x });
      const expected = new Float32Array(448);
      expected.set(x.slice(0, 30).map((v) => 2 * v), 64);
      expected.set(x.map((v) => 3 * v), 128);
      expected.set(x.slice(0, 10).map((v) => 4 * v), 320);
      const other = new Float32Array(320);
      other.set(x, 64);
      other.set(x.map((v) => 3 * v), 192);
      const results = await program.read(["packed", "elsewhere", "copied"]);
      const numbers = [expected, expected.map((v) => 7 * v), other];
      assert.deepEqual(
        results.map((v) => [...v]),
        numbers.map((v) => [...v]),
        `${device.adapter}, factor ${factor}`,
      );
    }
  }
});

const slot = () => input("slot", [1], "u32");

Deno.test("a state is replaced in its memory, in a chain of replacements too", () => {
  const table = state("table", [4, 8]);
  const once = record(table, input("row", [8]), slot());
  const twice = record(once, input("other", [8]), slot());
  const { steps, outputs, memory } = plan({ outputs: { twice } });
  const buffers = new Set([
    outputs.twice.buffer,
    ...steps.flatMap((step) => [step.inputs[0].buffer, step.outputs[0].buffer]),
  ]);
  assert.deepEqual([...buffers].map((b) => b.name), ["table"]);
  assert.equal(memory.activations, 0);
});

Deno.test("an in-place operation on a view writes only that part of the state", async () => {
  using reference = referenceDevice();
  for (const [k, device] of [reference, ...await webgpuDevices()].entries()) {
    const table = state(`table ${k}`, [2, 64]);
    device.define(`table ${k}`, table, new Float32Array(128).fill(1));
    const effect = record(view(table, [1, 64], 64), input("row", [64]), slot());
    using program = await device.compile({ effects: [effect] });
    program.run({ row: new Float32Array(64).fill(2), slot: Uint32Array.of(0) });
    const [values] = await device.read([`table ${k}`]);
    assert.deepEqual([...values], [...new Array(64).fill(1), ...new Array(64).fill(2)], device.adapter);
  }
});

Deno.test("a state read before its replacement gives the old numbers; plan() throws if the old tensor is read afterwards", async () => {
  const build = (order: "before" | "after" | "view after" | "through the new"): Graph => {
    const table = state("ordered table", [2, 64]);
    const part = view(table, [64], 64);
    const before = order === "before" ? [sumAll(table)] : [];
    const next = record(table, input("row", [64]), slot());
    const late = {
      before: [],
      after: [sumAll(table)],
      "view after": [sumAll(part)],
      "through the new": [sumAll(view(next, [64], 64))],
    };
    return { outputs: { sum: [...before, ...late[order]][0] }, effects: [next] };
  };
  assert.throws(() => plan(build("after")), /reads a tensor after record replaced it/);
  assert.throws(() => plan(build("view after")), /reads a tensor after record replaced it/);
  using device = referenceDevice();
  const feeds = { row: new Float32Array(64).fill(1), slot: Uint32Array.of(1) };
  for (const [order, expected] of [["before", 0], ["through the new", 64]] as const) {
    device.define("ordered table", { shape: [2, 64], dtype: "f32" });
    using program = await device.compile(build(order));
    program.run(feeds);
    assert.equal((await program.read(["sum"]))[0][0], expected, order);
  }
});

Deno.test("two replacements of one state must be chained: the second may not start from the first's input", () => {
  const table = state("table", [2, 8]);
  const row = input("row", [8]);
  const effects = [record(table, row, slot()), record(table, row, slot())];
  assert.throws(() => plan({ effects }), /record reads a tensor after record replaced it/);
});

Deno.test("an operation is given which of its outputs are read", () => {
  const [p, g, m, v] = ["p", "g", "m", "v"].map((name) => state(name, [4]));
  const options = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0, clip: 0, decayedCount: 0 } as const;
  const tensors = { parameter: p, gradient: g, states: { exp_avg: m, exp_avg_sq: v } };
  const [squaredNorm, hyper] = [input("norm", [1]), input("hyper", [4])];
  const { parameter, states } = adamw({ ...tensors, squaredNorm, hyper }, options);
  const { steps } = plan({ outputs: { y: sumAll(states.exp_avg_sq) }, effects: [parameter] });
  assert.deepEqual(steps.map((step) => step.call.needed), [[true, false, true], [true]]);
});
