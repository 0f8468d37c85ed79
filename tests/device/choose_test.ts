// Which device is chosen, and that the reported reason is true.
import assert from "node:assert/strict";
import { scale } from "../../kernels/elementwise/op.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { chooseDevice } from "../../src/device/choose.ts";
import { estimateSeconds, type Workload } from "../../src/device/estimate.ts";
import { plan } from "../../src/device/plan.ts";
import { findAdapter, isSoftware } from "../../src/device/webgpu.ts";
import { shaderOf } from "../../src/device/wgsl.ts";
import { loadConfig } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import { train } from "../../src/train/train.ts";
import { input } from "../../src/graph/structure.ts";
import { adapterThat } from "./devices.ts";

const none = () => Promise.resolve(undefined);
const x = input("x", [512, 512]);
const times = (runs: number) => (): Workload[] => [{ graph: { outputs: { y: matmul(x, x) } }, runs }];
const LONG = times(200_000);
const SHORT = times(5);
const TARGET = { kind: "software", maxBindingBytes: 2 ** 27, maxWorkgroupBytes: 2 ** 15 } as const;
const software = () =>
  adapterThat({ description: "llvmpipe (LLVM 15.0.6, 256 bits)", isFallbackAdapter: true });
const gpu = () => adapterThat({ description: "Some GPU", isFallbackAdapter: false });

/** The chosen device, closed again. */
async function choice(
  ...options: Parameters<typeof chooseDevice>
): Promise<{ kind: string; reason: string; adapter: string }> {
  const { device, reason } = await chooseDevice(...options);
  using opened = device;
  return { kind: opened.kind, reason, adapter: opened.adapter };
}

Deno.test("auto without an adapter chooses the CPU and reports it", async () => {
  const { kind, reason, adapter } = await choice("auto", LONG, none);
  assert.equal(kind, "cpu");
  assert.equal(reason, `${adapter}: no WebGPU adapter was found`);
});

Deno.test("webgpu without an adapter is a UserError in one line that names the missing driver", async () => {
  await assert.rejects(() => chooseDevice("webgpu", LONG, none), (error: Error) => {
    assert.ok(error instanceof UserError && !error.message.includes("\n"));
    assert.match(error.message, /^device: no adapter for "webgpu", looked for a .+, or use "cpu"\.$/);
    if (Deno.build.os === "linux") assert.match(error.message, /sudo apt-get install mesa-vulkan-drivers/);
    return true;
  });
});

Deno.test("auto chooses a hardware GPU without estimating the run", async () => {
  const { kind, reason } = await choice("auto", () => assert.fail("asked what the run costs"), gpu);
  assert.deepEqual({ kind, reason }, { kind: "webgpu", reason: "Some GPU: a GPU" });
});

Deno.test("auto chooses between llvmpipe and the CPU by the shorter estimate, and reports both", async () => {
  const short = await choice("auto", SHORT, software);
  assert.equal(short.kind, "cpu");
  assert.match(
    short.reason,
    /^CPU \(WebAssembly, \w+ multiply-add\): estimated 0\.2 s against .+ on llvmpipe \(LLVM 15\.0\.6, 256 bits\), compilation included$/,
  );
  const long = await choice("auto", LONG, software);
  assert.equal(long.kind, "webgpu");
  assert.match(
    long.reason,
    /^llvmpipe \(LLVM 15\.0\.6, 256 bits\): estimated .+, compilation included, against .+ on CPU \(WebAssembly\)$/,
  );
});

Deno.test("the estimate counts operations, dispatches and waits per run, a shader once", () => {
  const [{ graph }] = SHORT();
  const [{ lowered: { dispatches } }] = plan(graph, TARGET).steps;
  const product = 2 * 512 ** 3;
  const run = product / 32e9 + dispatches.length * 135e-6;
  const compiled = 23e-6 * new Set(dispatches.map(shaderOf)).values().reduce((sum, s) => sum + s.length, 0);
  const work = [{ graph, runs: 3 }, { graph, runs: 4, reads: 2 }, { graph, runs: 0, reads: 9 }];
  const two = estimateSeconds(work, TARGET, 2);
  assert.ok(Math.abs(two.cpu - 7 * product / 7.4e9) < 1e-9, `${two.cpu}`);
  assert.ok(Math.abs(two.software - (7 * run + 2 * 10e-3 + compiled)) < 1e-9, `${two.software}`);
  const eight = estimateSeconds(work, TARGET, 8);
  assert.equal(eight.cpu, two.cpu);
  assert.ok(Math.abs(two.software - eight.software - 7 * product / 32e9 * 3 / 4) < 1e-9);
});

const adapter = await findAdapter();

Deno.test({
  name: "auto counts evaluations: the adapter is faster for a short run that evaluates often",
  ignore: !adapter || !isSoftware(adapter),
}, async () => {
  const overrides = ["train.steps=40", "eval.every=2", "eval.batches=60", "sample.tokens=0"];
  const lines: string[] = [];
  const announce = (announced: readonly string[]) => void announced.forEach((line) => lines.push(line));
  await train(await loadConfig("default", overrides), { dryRun: true, onStart: announce });
  const line = lines.find((text) => text.startsWith("device:"))!;
  assert.match(line, /^device: .+, compilation included, against .+ on CPU/);
});

Deno.test("a device requested by name is used regardless of estimates, and computes", async () => {
  for (const choice of ["webgpu", "cpu", "reference"] as const) {
    const { device, reason } = await chooseDevice(choice, choice === "webgpu" ? SHORT : LONG, software);
    using opened = device;
    assert.equal(opened.kind, choice);
    assert.match(reason, /: as requested$/);
    using program = await opened.compile({ outputs: { y: scale(input("x", [1]), 2) } });
    program.run({ x: Float32Array.of(4) });
    assert.equal((await program.read(["y"]))[0][0], 8);
  }
});
