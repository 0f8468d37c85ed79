// Training interrupted by a lost device, a closed terminal, or a disk error: its messages and files.
import assert from "node:assert/strict";
import { resolveConfig } from "../../src/config/mod.ts";
import { openLog } from "../../src/log/log_file.ts";
import { resume, train, type TrainResult } from "../../src/train/train.ts";
import { checkpoint, ended, inFolder, latest, logOf, start, until, youngest } from "../scripts/harness.ts";

/** Calls `train`, and passes on the WebGPU object of its device. */
async function withRawDevice(
  train: (raw: () => GPUDevice) => Promise<TrainResult | undefined>,
): Promise<TrainResult | undefined> {
  const request = GPUAdapter.prototype.requestDevice;
  let raw: GPUDevice;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    return raw = await request.call(this, descriptor);
  };
  try {
    return await train(() => raw);
  } finally {
    GPUAdapter.prototype.requestDevice = request;
  }
}

Deno.test("a lost device is an error of one line with the command to resume", () =>
  inFolder(async (folder) => {
    const config = resolveConfig({
      name: "lost",
      device: "webgpu",
      data: { files: [`${folder}/text.txt`] },
      model: { context: 8, dim: 8, layers: 1, heads: 2 },
      train: { steps: 40, batch: 2 },
      eval: { every: 10, batches: 1 },
      sample: { tokens: 0 },
      output: { dir: `${folder}/runs` },
    }, { place: "test", name: "test" });
    const training = withRawDevice((raw) =>
      train(config, { onProgress: ({ step }) => step > 20 && raw().destroy() })
    );
    const { name, message } = await training.then(
      () => assert.fail("It trained on."),
      (error: Error) => error,
    );
    const run = latest(folder);
    assert.match(
      message,
      /^The WebGPU device .+ was lost \(destroyed\): .+; to resume from step 20: deno task train/,
    );
    assert.ok(message.endsWith(`deno task train --resume ${run}`), message);
    assert.equal(name, "UserError");
    assert.equal((await resume(run))?.finished, true);
  }));

Deno.test("a closed standard error does not stop training", () =>
  inFolder(async (folder) => {
    const wild = ["optimizer.name=sgd", "optimizer.lr=1e30", "optimizer.clip=0", "train.steps=2000"];
    const process = start("train", ["tiny.yaml", ...wild], folder);
    await process.stderr.cancel();
    const { code } = await process.output().catch(() => process.status);
    assert.match(logOf(youngest(folder)), /"type":"done"/);
    assert.notEqual(code, 1);
  }));

Deno.test("SIGHUP, once or twice, saves a run of a sweep, and the same command continues it", () =>
  inFolder(async (folder) => {
    const args = ["tiny.yaml", "seed=[1,2]", "train.steps=3000", "eval.every=1000", "eval.batches=1"];
    const process = start("train", args, folder);
    const runs = () => [...Deno.readDirSync(`${folder}/runs`)].find(({ name }) => /-sweep-/.test(name))!.name;
    const run = () => {
      const parent = `${folder}/runs/${runs()}/tiny-01-seed=1`;
      return `${parent}/${[...Deno.readDirSync(parent)].find(({ isDirectory }) => isDirectory)!.name}`;
    };
    const steps = () => {
      try {
        return logOf(run()).match(/"type":"step"/g)?.length ?? 0;
      } catch {
        return 0;
      }
    };
    await until(() => steps() > 50);
    process.kill("SIGHUP");
    process.kill("SIGHUP");
    const { code, stderr } = await ended(process);
    assert.equal(code, 130, stderr);
    const saved = Number(checkpoint(run()).split("/").at(-1));
    assert.equal(steps(), saved);
    assert.match(
      stderr,
      new RegExp(`Stopped and saved at step ${saved} of tiny-01-seed=1\\. Continue with the same`),
    );
  }));

Deno.test("a log that can be neither written nor truncated reports the first error", () =>
  inFolder((folder) => {
    const { writeSync, truncateSync } = Deno.FsFile.prototype;
    using log = openLog(`${folder}/log.ndjson`);
    Deno.FsFile.prototype.writeSync = () => {
      throw new Error("No space left on device (os error 28)");
    };
    Deno.FsFile.prototype.truncateSync = () => {
      throw new Error("Operation not permitted (os error 1)");
    };
    try {
      assert.throws(
        () => log.write({ type: "done", step: 1, seconds: 1, best: null, files: [] }),
        { name: "UserError", message: `${folder}/log.ndjson: No space left on device.` },
      );
    } finally {
      Object.assign(Deno.FsFile.prototype, { writeSync, truncateSync });
    }
    return Promise.resolve();
  }));
