// Which device is taken, and that the line that says so is true.
import assert from "node:assert/strict";
import { scale } from "../../kernels/elementwise/op.ts";
import { chooseDevice, estimateSeconds } from "../../src/device/choose.ts";
import { UserError } from "../../src/errors.ts";
import { input } from "../../src/graph/structure.ts";
import { adapterThat } from "./devices.ts";

const none = () => Promise.resolve(undefined);
const COST = { flops: 4e9, dispatches: 150, steps: 2000 };
const SHORT = { ...COST, steps: 5 };
const software = () =>
  adapterThat({ description: "llvmpipe (LLVM 15.0.6, 256 bits)", isFallbackAdapter: true });
const gpu = () => adapterThat({ description: "Some GPU", isFallbackAdapter: false });

/** The choice, closed again. */
async function choice(
  ...options: Parameters<typeof chooseDevice>
): Promise<{ kind: string; reason: string }> {
  const { device, reason } = await chooseDevice(...options);
  using opened = device;
  return { kind: opened.kind, reason };
}

Deno.test("auto without an adapter takes the CPU and says so", async () => {
  const { kind, reason } = await choice("auto", COST, none);
  assert.equal(kind, "cpu");
  assert.equal(reason, "CPU (TypeScript): no WebGPU adapter was found");
});

Deno.test("webgpu without an adapter is the user's error in one line, with what was looked for", async () => {
  await assert.rejects(() => chooseDevice("webgpu", COST, none), (error: Error) => {
    assert.ok(error instanceof UserError && !error.message.includes("\n"));
    assert.match(error.message, /^device: no adapter for "webgpu", looked for a .+, or ask for "cpu"\.$/);
    if (Deno.build.os === "linux") assert.match(error.message, /sudo apt-get install mesa-vulkan-drivers/);
    return true;
  });
});

Deno.test("auto takes a real GPU without asking what the run costs", async () => {
  assert.deepEqual(await choice("auto", { flops: 1, dispatches: 1, steps: 1 }, gpu), {
    kind: "webgpu",
    reason: "Some GPU: a GPU",
  });
});

Deno.test("auto between llvmpipe and the CPU takes the one whose estimate is shorter, and gives both numbers", async () => {
  assert.deepEqual(await choice("auto", SHORT, software), {
    kind: "cpu",
    reason:
      "CPU (TypeScript): estimated 4.0 s against 7.8 s on llvmpipe (LLVM 15.0.6, 256 bits), compilation included",
  });
  assert.deepEqual(await choice("auto", COST, software), {
    kind: "webgpu",
    reason:
      "llvmpipe (LLVM 15.0.6, 256 bits): estimated 12 min, compilation included, against 27 min on CPU (TypeScript)",
  });
});

Deno.test("the estimate counts compilation once, dispatches and operations by the step", () => {
  assert.deepEqual(estimateSeconds({ flops: 5e9, dispatches: 0, steps: 0 }), { cpu: 0, software: 6 });
  const { cpu, software } = estimateSeconds({ flops: 11e9, dispatches: 40_000, steps: 3 });
  assert.ok(Math.abs(cpu - 6.6) < 1e-9 && Math.abs(software - (6 + 3 * 2)) < 1e-9, `${cpu}, ${software}`);
});

Deno.test("what is asked for by name is taken whatever it costs, and computes", async () => {
  for (const wanted of ["webgpu", "cpu"] as const) {
    const { device, reason } = await chooseDevice(wanted, wanted === "cpu" ? COST : SHORT, software);
    using opened = device;
    assert.equal(opened.kind, wanted);
    assert.match(reason, /: as asked for$/);
    using program = await opened.compile({ outputs: { y: scale(input("x", [1]), 2) } });
    program.run({ x: Float32Array.of(4) });
    assert.equal((await program.read(["y"]))[0][0], 8);
  }
});
