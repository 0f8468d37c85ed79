// Errors that WebGPU reports late or never: out of memory, a lost device, a dispatch beyond the adapter's limits.
import assert from "node:assert/strict";
import { add, scale } from "../../kernels/elementwise/op.ts";
import { UserError } from "../../src/base/errors.ts";
import { constant, input, state } from "../../src/graph/structure.ts";
import { apply, type Dispatch, type Op, scope } from "../../src/graph/tensor.ts";
import { webgpuDevices } from "../kernels/harness.ts";
import { openRaw } from "./devices.ts";

const X = { x: Float32Array.of(3) };
const graph = () => ({ outputs: { y: scale(input("x", [1]), 2) } });

/** From the next call on, allocations run out of memory. */
function exhaust(raw: GPUDevice): void {
  raw.popErrorScope = () => Promise.resolve(new GPUOutOfMemoryError("none"));
}

/** The buffers created from now on and not destroyed. */
function watch(raw: GPUDevice): Set<GPUBuffer> {
  const alive = new Set<GPUBuffer>();
  const create = raw.createBuffer.bind(raw);
  raw.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      destroy();
    };
    alive.add(buffer);
    return buffer;
  };
  return alive;
}

Deno.test("a program that does not fit in memory is a UserError with its bytes, and leaves neither buffers nor states", async () => {
  const { device, raw } = await openRaw();
  using _ = device;
  const alive = watch(raw);
  const sum = (n: number) => add(scale(state("w", [n]), 2), constant(1.5, [n]));
  const pop = raw.popErrorScope.bind(raw);
  // The kernels are compiled by now, so that only memory is requested: 64 + 64 + 64 + 64 numbers.
  (await device.compile({ outputs: { y: add(scale(input("w", [64]), 2), constant(1.5, [64])) } }))
    [Symbol.dispose]();
  assert.equal(alive.size, 0);
  exhaust(raw);
  await assert.rejects(
    () => device.compile({ outputs: { y: sum(64) } }),
    (error: Error) =>
      error instanceof UserError &&
      /memory needs 1\.0 KiB \(1024 bytes\), more than .+ has left: use/.test(error.message),
  );
  assert.equal(alive.size, 0);
  raw.popErrorScope = pop;
  await assert.rejects(() => device.read(["w"]), /No state is named "w"/);
});

Deno.test("a compilation that fails at a kernel creates no buffer", async () => {
  const { device, raw } = await openRaw();
  using _ = device;
  const alive = watch(raw);
  const op = kernel("nonsense", [1, 1, 1]);
  await assert.rejects(
    () =>
      device.compile({ outputs: { y: apply(op, [add(input("x", [1]), state("w", [1]))], undefined)[0] } }),
    /WGSL of test kernel/,
  );
  assert.equal(alive.size, 0);
  await assert.rejects(() => device.read(["w"]), /No state is named "w"/);
});

Deno.test("a state that does not fit in memory is a UserError at the next call, and at every call after it", async () => {
  const { device, raw } = await openRaw();
  using _ = device;
  using program = await device.compile(graph());
  exhaust(raw);
  device.define("moments", { shape: [1000], dtype: "f32" }, new Float32Array(1000));
  await Promise.resolve().then(() => {});
  const short = (error: Error) =>
    error instanceof UserError &&
    /^State moments needs 4\.0 KiB \(4096 bytes\), more than/.test(error.message);
  await assert.rejects(() => device.compile(graph()), short);
  assert.throws(() => program.run(X), short);
  await assert.rejects(() => program.read(["y"]), short);
});

Deno.test("a lost device throws at the next call", async () => {
  const { device, raw } = await openRaw();
  using _ = device;
  using program = await device.compile(graph());
  program.run(X);
  raw.destroy();
  await raw.lost;
  const lost = /The WebGPU device .+ was lost \(/;
  assert.throws(() => program.run(X), lost);
  await assert.rejects(() => program.read(["y"]), lost);
  await assert.rejects(() => device.compile(graph()), lost);
  assert.throws(() => device.define("w", { shape: [1], dtype: "f32" }), lost);
});

Deno.test("a closed device throws; programs can be closed after it", async () => {
  const { device } = await openRaw();
  using program = await device.compile(graph());
  device[Symbol.dispose]();
  assert.throws(() => program.run(X), /This device is closed/);
  await assert.rejects(() => device.compile(graph()), /This device is closed/);
});

Deno.test("concurrent compilations do not affect each other: one fails, the others compute", async () => {
  const { device } = await openRaw();
  using _ = device;
  const y = () => scale(state("shared", [64]), 2);
  const wrong = apply(kernel("nonsense", [1, 1, 1]), [y()], undefined)[0];
  const settled = await Promise.allSettled([
    device.compile({ outputs: { wrong } }),
    device.compile({ outputs: { y: y() } }),
    device.compile({ outputs: { y: state("shared", [65]) } }),
    device.compile({ outputs: { y: y() } }),
  ]);
  assert.deepEqual(settled.map(({ status }) => status), ["rejected", "fulfilled", "rejected", "fulfilled"]);
  device.define("shared", { shape: [64], dtype: "f32" }, new Float32Array(64).fill(3));
  for (const one of settled) {
    if (one.status === "rejected") continue;
    one.value.run();
    assert.equal((await one.value.read(["y"]))[0][63], 6);
  }
});

/** An operation of one dispatch with the given body. */
function kernel(
  body: string,
  workgroups: Dispatch["workgroups"],
  extra: Partial<Dispatch> = {},
): Op<undefined> {
  const source = `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { ${body} }`;
  return {
    name: "test",
    infer: ([x]) => [x],
    lower: () => ({
      dispatches: [{
        label: "test kernel",
        source,
        constants: {},
        bindings: { 0: ["output", 0] },
        workgroups,
        ...extra,
      }],
    }),
    cpu: () => {},
  };
}

Deno.test("more workgroups than a dispatch may have is a UserError, thrown before the device is called", async () => {
  for (const device of await webgpuDevices()) {
    const op = kernel("y[0] = 1f;", [1, 2 ** 20, 1]);
    const y = scope("blocks.2", () => apply(op, [input("x", [1])], undefined)[0]);
    await assert.rejects(
      () => device.compile({ outputs: { y } }),
      (error: Error) =>
        error instanceof UserError && /^test kernel at blocks\.2 needs 1 x 1048576 x 1/.test(error.message),
    );
    using program = await device.compile(graph());
    program.run(X);
    assert.equal((await program.read(["y"]))[0][0], 6);
  }
});

/** Counts to `n`, two iterations of nested loops for three: iterations of all loops count together on llvmpipe. */
function counter(n: number): Op<undefined> {
  const [outer, inner] = [Math.floor(n / 3), 2];
  const body =
    `var c = 0u; for (var i = 0u; i < ${outer}u; i++) { c++; for (var k = 0u; k < ${inner}u; k++) { c++; } }
    for (var i = 0u; i < ${n - 3 * outer}u; i++) { c++; }
    y[0] = f32(c);`;
  return kernel(body, [1, 1, 1], { iterations: { count: n, of: `K = ${n}` } });
}

Deno.test("a kernel with as many iterations as the adapter computes is correct; with one more it is rejected if there is a limit", async () => {
  for (const device of await webgpuDevices()) {
    const most = device.target!.maxIterations;
    const graphOf = (n: number) => ({ outputs: { y: apply(counter(n), [input("x", [1])], undefined)[0] } });
    using program = await device.compile(graphOf(65535));
    program.run(X);
    assert.equal((await program.read(["y"]))[0][0], 65535);
    if (most === undefined) continue;
    await assert.rejects(
      () => device.compile(graphOf(most + 1)),
      (error: Error) =>
        error instanceof UserError &&
        /^test kernel: K = 65536 exceeds what the software adapter computes \(65,535 iterations/.test(
          error.message,
        ),
    );
  }
});
