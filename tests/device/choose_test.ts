// Which device is chosen, and that the reported reason is true.
import assert from "node:assert/strict";
import { scale } from "../../kernels/elementwise/op.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { chooseDevice } from "../../src/device/choose.ts";
import { hostFeatures } from "../../src/device/cpu/features.ts";
import type { Device } from "../../src/device/device.ts";
import { estimateSeconds, measureSpeed, type Speed, speedOf, type Workload } from "../../src/device/probe.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import { adapterThat } from "./devices.ts";

const find = {
  none: () => Promise.resolve(undefined),
  software: () => adapterThat({ description: "llvmpipe (LLVM 15.0.6, 256 bits)", isFallbackAdapter: true }),
  gpu: () => adapterThat({ description: "Some GPU", isFallbackAdapter: false }),
};
const x = input("x", [512, 512]);
const times = (runs: number) => (): Workload[] => [{ graph: { outputs: { y: matmul(x, x) } }, runs }];
const unasked = () => assert.fail("asked what the run costs");

/** The speeds of a GPU that waits long for results and computes fast, and of a processor. */
const speed = ({ kind }: Device): Promise<Speed> =>
  Promise.resolve(
    kind === "webgpu"
      ? { flops: 1e12, operation: 1e-5, read: 0.1 }
      : { flops: 1e10, operation: 1e-6, read: 0 },
  );

/** The chosen device, closed again. */
async function choice(...options: Parameters<typeof chooseDevice>) {
  const { device, reason } = await chooseDevice(...options);
  using opened = device;
  return { kind: opened.kind, adapter: opened.adapter, estimates: opened.estimates, reason };
}

Deno.test("auto without an adapter chooses the CPU and reports it", async () => {
  const { kind, reason, adapter } = await choice("auto", times(1), { find: find.none });
  assert.equal(kind, "cpu");
  assert.equal(reason, `${adapter}: no WebGPU adapter was found`);
});

Deno.test("auto does not choose a software adapter, and says why", async () => {
  const { kind, reason, adapter } = await choice("auto", times(1), { find: find.software });
  assert.equal(kind, "cpu");
  assert.equal(reason, `${adapter}: faster than llvmpipe (LLVM 15.0.6, 256 bits) on the same processor`);
});

Deno.test("webgpu without an adapter is a UserError in one line that names the missing driver", async () => {
  await assert.rejects(() => chooseDevice("webgpu", unasked, { find: find.none }), (error: Error) => {
    assert.ok(error instanceof UserError && !error.message.includes("\n"));
    assert.match(error.message, /^device: no adapter for "webgpu", looked for a .+, or use "cpu"\.$/);
    if (Deno.build.os === "linux") assert.match(error.message, /sudo apt-get install mesa-vulkan-drivers/);
    return true;
  });
});

Deno.test("auto chooses between a GPU and the CPU by their measured speeds, and reports both estimates", async () => {
  const long = await choice("auto", times(10_000), { find: find.gpu, speed });
  assert.equal(long.kind, "webgpu");
  assert.match(
    long.reason,
    /^Some GPU: estimated 2\.8 s, against 4\.5 min on CPU \(WebAssembly, \w+ multiply-add\)$/,
  );
  assert.deepEqual(Object.keys(long.estimates!), ["webgpu", "cpu"]);
  const waits = (): Workload[] => [{ ...times(1)()[0], reads: 10 }];
  const short = await choice("auto", waits, { find: find.gpu, speed });
  assert.equal(short.kind, "cpu");
  assert.match(short.reason, /^CPU .+: estimated .+, against 1\.0 s on Some GPU$/);
});

Deno.test("an estimate counts operations, arithmetic and waits of each run", () => {
  using device = cpuDevice({ threads: 1 });
  const work = [{ ...times(3)()[0] }, { ...times(4)()[0], reads: 2 }, { ...times(0)()[0], reads: 9 }];
  const seconds = estimateSeconds(work, device.plan, { flops: 1e9, operation: 0.5, read: 7 });
  assert.ok(Math.abs(seconds - 7 * (2 * 512 ** 3 / 1e9 + 0.5) - 14) < 1e-9, `${seconds}`);
});

Deno.test("a device is measured once: the speed is kept in .cache", async () => {
  const folder = await Deno.makeTempDir();
  const before = Deno.cwd();
  try {
    Deno.chdir(folder);
    using device = cpuDevice({ threads: 2 });
    const speed = await speedOf(device);
    assert.ok(Object.values(speed).every((value) => value > 0 && Number.isFinite(value)));
    assert.deepEqual(await speedOf({ ...device, compile: () => assert.fail("measured again") }), speed);
    const stored = JSON.parse(await Deno.readTextFile(".cache/devices.json"));
    assert.deepEqual(Object.values(stored), [speed]);
    await Deno.writeTextFile(".cache/devices.json", "{");
    assert.ok((await speedOf(device)).flops > 0);
  } finally {
    Deno.chdir(before);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a device whose measurement fails is not chosen, unless both fail", async () => {
  const cannot = await choice("auto", times(1), {
    find: find.gpu,
    speed: () => Promise.reject(new UserError("the device was lost.")),
  });
  assert.equal(cannot.kind, "cpu");
  assert.match(cannot.reason, /: Some GPU cannot: the device was lost\.$/);
});

Deno.test("without vectors auto takes the reference device, without shared memory one thread, and says so", async () => {
  const host = hostFeatures();
  const plain = await choice("auto", unasked, { find: find.none, features: { ...host, simd: false } });
  assert.equal(plain.kind, "reference");
  assert.match(plain.reason, /has no vectors \(SIMD\)$/);
  const alone = await choice("auto", times(1), { find: find.none, features: { ...host, shared: false } });
  assert.equal(alone.kind, "cpu");
  assert.match(alone.reason, /; one thread, because this host has no shared memory$/);
});

Deno.test("auto takes the reference device for work that needs more than the CPU device's 4 GiB, and says so", async () => {
  const large = input("large", [600_000_000]);
  const work = () => [{ graph: { outputs: { y: scale(scale(large, 2), 3) } }, runs: 1 }];
  const { kind, reason } = await choice("auto", work, { find: find.none });
  assert.equal(kind, "reference");
  assert.match(reason, /no WebGPU adapter was found, and the CPU device has at most 4 GiB of memory; slow$/);
});

Deno.test("a measurement of WebGPU is of numbers above 0", async () => {
  const { device } = await chooseDevice("webgpu", unasked);
  using opened = device;
  for (const value of Object.values(await measureSpeed(opened))) {
    assert.ok(value > 0 && Number.isFinite(value));
  }
});

Deno.test("a device requested by name is used regardless of estimates, and computes", async () => {
  for (const name of ["webgpu", "cpu", "reference"] as const) {
    const { device, reason } = await chooseDevice(name, unasked, { find: find.software });
    using opened = device;
    assert.equal(opened.kind, name);
    assert.match(reason, /: as requested$/);
    using program = await opened.compile({ outputs: { y: scale(input("x", [1]), 2) } });
    program.run({ x: Float32Array.of(4) });
    assert.equal((await program.read(["y"]))[0][0], 8);
  }
});
