// Threads that die: an error that names them, never a hang.
import assert from "node:assert/strict";
import { heap, WORDS } from "../../../src/device/cpu/heap.ts";
import { countersOf, type Entry, listModule } from "../../../src/device/cpu/list.ts";
import { pool } from "../../../src/device/cpu/pool.ts";
import { i32, load, wasmModule } from "../../../src/wasm/mod.ts";

Deno.test("a thread waits at a barrier for the given number of seconds, then fails", () => {
  const memory = heap(true);
  const entries: Entry[] = [
    { phase: { label: "nothing", blocks: 2, kernel: () => {} }, inputs: [], outputs: [], scratch: [] },
  ];
  const counters = memory.allocate(countersOf(entries, 2).byteLength);
  const own = { address: memory.allocate(512), size: 256 };
  const module = listModule(memory, { entries, threads: 2, spins: 10, silence: 1, counters, own });
  const nothing = () => {};
  const env = { memory: memory.memory, host: nothing, mark: nothing, sgemm: nothing };
  const { run } = new WebAssembly.Instance(module, { env }).exports as Record<
    string,
    (thread: number) => void
  >;
  const began = performance.now();
  assert.throws(() => run(0), WebAssembly.RuntimeError);
  const seconds = (performance.now() - began) / 1000;
  assert.ok(seconds > 0.9 && seconds < 10, `${seconds}`);
});

Deno.test("a worker that no longer answers is named, and the device does not run again", async () => {
  const memory = heap(true);
  const flag = memory.allocate(256);
  using threads = pool(memory, 3);
  const module = wasmModule({ memory: { initial: 2, maximum: 65536, shared: true } });
  const run = module.func({ params: ["i32"] }, (f, thread) => {
    // Thread 2 works until the test ends.
    f.if(i32.eq(thread, 2), () => f.while(() => i32.eqz(load("i32", flag)), () => {}));
  });
  module.export("run", run);
  await threads.load(1, new WebAssembly.Module(module.binary()));
  const words = new Int32Array(memory.memory.buffer);
  const silent = () => {
    throw new Error("silence");
  };
  assert.throws(() => threads.run(2, silent), /The CPU device stopped: no answer from thread 2 of 3\./);
  assert.throws(() => threads.run(2, () => {}), /no answer from thread 2 of 3/);
  Atomics.store(words, flag / 4, 1);
  assert.equal(Atomics.load(words, WORDS.failed / 4), 1);
});

Deno.test("a worker that cannot instantiate a module is an error that names it", async () => {
  const memory = heap(true);
  using threads = pool(memory, 2);
  // It imports a function that workers do not have.
  const module = wasmModule({
    memory: { initial: 2, maximum: 65536, shared: true },
    imports: { missing: { params: [] } },
  });
  await assert.rejects(
    threads.load(1, new WebAssembly.Module(module.binary())),
    /^Error: CPU thread 1 did not start: /,
  );
});
