// A checkpoint on disk always has its log on disk: the order of writes and syncs, for the case of a power cut.
import assert from "node:assert/strict";
import { resolveConfig } from "../../src/config/mod.ts";
import { train } from "../../src/train/train.ts";

/** Writes and syncs of the log, and checkpoints put in place, in order. */
async function watched(body: () => Promise<unknown>): Promise<string[]> {
  const events: string[] = [];
  const logs = new WeakSet<Deno.FsFile>();
  const { openSync, rename } = Deno;
  const proto = Deno.FsFile.prototype;
  const before = {
    writeSync: proto.writeSync,
    syncSync: proto.syncSync,
    syncDataSync: proto.syncDataSync,
  };
  const report = (event: string, file: Deno.FsFile) => {
    if (logs.has(file) && events.at(-1) !== event) events.push(event);
  };
  try {
    Deno.openSync = (path, options) => {
      const file = openSync(path, options);
      if (String(path).endsWith("log.ndjson")) logs.add(file);
      return file;
    };
    Deno.rename = (from, to) => {
      if (/checkpoints.\d+$/.test(String(to))) events.push(`checkpoint ${String(to).match(/\d+$/)}`);
      return rename(from, to);
    };
    proto.writeSync = function (bytes) {
      report("write", this);
      return before.writeSync.call(this, bytes);
    };
    for (const name of ["syncSync", "syncDataSync"] as const) {
      proto[name] = function () {
        report("sync", this);
        before[name].call(this);
      };
    }
    await body();
  } finally {
    Object.assign(proto, before);
    Object.assign(Deno, { openSync, rename });
  }
  return events;
}

Deno.test("the log is synced before each checkpoint is put in place, and at the end of the run", async () => {
  const folder = await Deno.makeTempDir({ prefix: "heed-sync-" });
  try {
    await Deno.writeTextFile(
      `${folder}/text.txt`,
      "The quick brown fox jumps over the lazy dog.\n".repeat(20),
    );
    const config = resolveConfig({
      device: "cpu",
      data: { files: [`${folder}/text.txt`] },
      model: { context: 8, dim: 16, layers: 1, heads: 2 },
      train: { steps: 6, batch: 2 },
      eval: { every: 6, batches: 1 },
      output: { dir: `${folder}/runs`, checkpoint_every: 2 },
      sample: { prompt: "The ", tokens: 1 },
    }, { place: "test", name: "test" });
    const events = await watched(() => train(config));
    const saved = (step: number) => ["write", "sync", `checkpoint ${step}`];
    assert.deepEqual(events, [...saved(2), ...saved(4), ...saved(6), "write", "sync"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
