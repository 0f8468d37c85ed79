// Whole runs on the CPU device: the same log and checkpoints for any number of threads, also resumed with another number, and
// memory that does not grow with steps.
import assert from "node:assert/strict";
import { type Config, loadConfig } from "../../src/config/mod.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { initialise } from "../../src/model/layout.ts";
import { modelOf } from "../../src/model/model.ts";
import { stepFeeds, stepGraph } from "../../src/train/step_graph.ts";
import { resume, train } from "../../src/train/train.ts";
import { filesOf, inFolder, logOf, timeless } from "../scripts/harness.ts";

const SMALL = [
  ...[
    "model.context=16",
    "model.dim=32",
    "model.layers=2",
    "model.heads=2",
    "train.steps=12",
    "train.batch=8",
  ],
  ...[
    "track=everything",
    "eval.every=5",
    "eval.batches=2",
    "sample.tokens=6",
    "schedule.warmup=0",
    "device=cpu",
  ],
];

const configIn = (folder: string, ...more: string[]): Promise<Config> =>
  loadConfig("default", [`data.files=[${folder}/text.txt]`, `output.dir=${folder}/runs`, ...SMALL, ...more]);

/** A run's log and last checkpoint, without times and the number of threads. */
function contentsOf(path: string): { log: string; checkpoint: Record<string, string> } {
  const { "state.json": _, ...checkpoint } = filesOf(`${path}/checkpoints/last`);
  return { log: timeless(logOf(path)).replace(/"threads":\d+/g, '"threads":0'), checkpoint };
}

Deno.test("a tracked run writes the same bytes with 1, 2 and 3 threads, and stopped and resumed with others", () =>
  inFolder(async (folder) => {
    const runWith = async (threads: number, then?: number): Promise<ReturnType<typeof contentsOf>> => {
      const config = await configIn(folder);
      const stop = new AbortController();
      const onProgress = ({ step }: { step: number }) => then && step >= 6 && stop.abort();
      const stopped = (await train(config, { threads, signal: stop.signal, onProgress }))!;
      assert.equal(stopped.finished, !then);
      const { folder: { path }, finished } = then
        ? (await resume(stopped.folder.path, { threads: then }))!
        : stopped;
      assert.ok(finished);
      return contentsOf(path);
    };
    const expected = await runWith(1);
    assert.match(expected.log, /"type":"stat"/);
    for (const [threads, then] of [[2], [3], [1, 2], [3, 1]]) {
      const { log, checkpoint } = await runWith(threads, then);
      assert.deepEqual(checkpoint, expected.checkpoint, `${threads} threads, then ${then}`);
      assert.equal(log, expected.log, `${threads} threads, then ${then}`);
    }
  }));

Deno.test("10,000 steps of a small model take no more memory than the first thousand", async () => {
  const config = await loadConfig("default", [
    ...["model.context=8", "model.dim=8", "model.layers=1", "model.heads=1", "train.batch=2"],
  ]);
  const { architecture, layout } = modelOf(config, charTokenizer("abcdefg"));
  const { graph } = stepGraph(architecture, layout, config);
  using device = cpuDevice({ threads: 2 });
  await initialise(device, layout, 1);
  using program = await device.compile(graph);
  const ids = new Uint32Array(16).fill(1);
  const feeds = stepFeeds(config, [{ ids, targets: ids }], { step: 0, lr: 1e-3, slot: 0 });
  const steps = (count: number): void => {
    for (let step = 0; step < count; step++) program.run(feeds);
  };
  steps(1000);
  const [bytes, { rss }] = [device.memory(), Deno.memoryUsage()];
  steps(9000);
  assert.equal(device.memory(), bytes);
  // Measured: 1 to 3 MB, garbage that is not yet collected included; views of its memory kept by each step would be 18 MB.
  const grown = Deno.memoryUsage().rss - rss;
  assert.ok(grown < 16 * 2 ** 20, `${grown} bytes more`);
});
