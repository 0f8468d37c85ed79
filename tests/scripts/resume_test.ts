// A run that was stopped at any point and resumed equals an uninterrupted one.
import assert from "node:assert/strict";
import {
  checkpoint,
  ended,
  filesOf,
  inFolder,
  latest,
  logOf,
  point,
  reseal,
  script,
  start,
  succeeds,
  timeless,
  tree,
  until,
  youngest,
} from "./harness.ts";

/** Checkpoints with and without an evaluation, dropout, accumulation: everything that affects a step. */
const LONG = [
  "tiny.yaml",
  "train.steps=300",
  "train.accumulate=2",
  "model.dropout=0.1",
  "eval.every=40",
  "output.checkpoint_every=30",
];

/** What must be equal in two runs: the log without times, the checkpoints, and the bytes of the last one. */
function outcome(run: string): unknown {
  const steps = [...Deno.readDirSync(`${run}/checkpoints`)].map(({ name }) => name).sort();
  const best = checkpoint(run, "best").split("/").at(-1);
  return { log: timeless(logOf(run)), steps, best, last: filesOf(checkpoint(run)) };
}

function runOf(folder: string): string | undefined {
  try {
    return latest(folder);
  } catch {
    return undefined;
  }
}

/** The log of the newest run, which may not exist yet. */
function logSoFar(folder: string): string {
  try {
    return logOf(youngest(folder));
  } catch {
    return "";
  }
}

/** Lines of that log. */
const lines = (folder: string): number => logSoFar(folder).split("\n").length - 1;

for (const device of ["cpu", "webgpu"]) {
  Deno.test(`killed at random moments and resumed, a run on ${device} leaves the log and the checkpoint of an uninterrupted one`, () =>
    inFolder(async (folder) => {
      const long = [...LONG, ...(device === "webgpu" ? ["train.steps=100"] : []), "--device", device];
      await succeeds("train", long, folder);
      const expected = outcome(latest(folder));
      await Deno.remove(`${folder}/runs`, { recursive: true });
      const delays: number[] = [];
      for (let kills = 0; kills < 3; kills++) {
        const run = runOf(folder);
        const process = start("train", run === undefined ? long : ["--resume", run], folder);
        // The first kill leaves a checkpoint to resume from; the others come at any time, also while loading.
        if (run === undefined) await until(() => lines(folder) > 35);
        delays.push(Math.random() * (run === undefined ? 200 : 600));
        await new Promise((resume) => setTimeout(resume, delays.at(-1)));
        process.kill("SIGKILL");
        const { code, stderr } = await ended(process);
        assert.ok(code === 137 || code === 0, stderr);
      }
      const run = latest(folder);
      const { code, stderr } = await script("train", ["--resume", run], folder);
      // It may have ended before the last kill.
      assert.ok(code === 0 || /the run has ended/.test(stderr), stderr);
      assert.deepEqual(outcome(run), expected, `killed after ${delays.map(Math.round)} ms`);
    }));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`${signal} saves and exits with 130, and the resumed run equals an uninterrupted one`, () =>
    inFolder(async (folder) => {
      await succeeds("train", LONG, folder);
      const expected = outcome(latest(folder));
      await Deno.remove(`${folder}/runs`, { recursive: true });
      const process = start("train", LONG, folder);
      await until(() => lines(folder) > 50);
      process.kill(signal);
      const { code, stderr } = await ended(process);
      assert.equal(code, 130, stderr);
      const run = latest(folder);
      const stopped = Number(checkpoint(run).split("/").at(-1));
      assert.match(stderr, new RegExp(`\\nStopped and saved at step ${stopped}\\. Resume with: .*--resume `));
      assert.equal(logOf(run).match(/"type":"step"/g)!.length, stopped);
      assert.ok(stopped < 300);
      await succeeds("train", ["--resume", "runs/latest"], folder);
      assert.deepEqual(outcome(run), expected, `stopped at step ${stopped}`);
    }));
}

Deno.test("Ctrl-C before the first step leaves a run that can be resumed", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const expected = outcome(latest(folder));
    await Deno.remove(`${folder}/runs`, { recursive: true });
    const process = start("train", ["tiny.yaml"], folder);
    // The announcement comes after signal handlers are installed and before anything is written.
    const reader = process.stderr.getReader();
    await reader.read();
    process.kill("SIGINT");
    reader.releaseLock();
    const { code } = await ended(process);
    assert.equal(code, 130);
    await succeeds("train", ["--resume", "runs/latest"], folder);
    assert.deepEqual(outcome(latest(folder)), expected);
  }));

Deno.test("a second Ctrl-C exits at once, in the middle of a long evaluation", () =>
  inFolder(async (folder) => {
    const text = Deno.readTextFileSync(`${folder}/text.txt`);
    await Deno.writeTextFile(`${folder}/text.txt`, text.repeat(40));
    const slow = ["eval.every=1", "eval.batches=0", "data.split.val=0.9", "train.batch=1", "model.dim=32"];
    const process = start("train", ["tiny.yaml", ...slow], folder);
    await until(() => lines(folder) > 1);
    process.kill("SIGINT");
    let over = false;
    const end = ended(process).finally(() => over = true);
    await new Promise((resume) => setTimeout(resume, 500));
    assert.ok(!over, "the first one waits for the evaluation");
    const asked = performance.now();
    process.kill("SIGINT");
    assert.equal((await end).code, 130);
    // Signals are handled every 100 ms; the rest is for a busy machine.
    assert.ok(performance.now() - asked < 1500);
  }));

Deno.test("Ctrl-C during the last sample leaves a run that ends when it is resumed", () =>
  inFolder(async (folder) => {
    const process = start("train", ["tiny.yaml", "sample.tokens=300000"], folder);
    await until(() => /"type":"checkpoint","step":6/.test(logSoFar(folder)));
    await new Promise((resume) => setTimeout(resume, 100));
    process.kill("SIGINT");
    const { code, stderr } = await ended(process);
    assert.equal(code, 130, stderr);
    assert.doesNotMatch(logOf(latest(folder)), /"type":"(sample|done)"/);
  }));

Deno.test("resuming completes a log cut anywhere after its last checkpoint was saved", () =>
  inFolder(async (folder) => {
    await succeeds("train", [...LONG, "train.steps=70"], folder);
    const run = latest(folder);
    const expected = outcome(run);
    const log = logOf(run);
    const record = log.indexOf('{"v":2,"type":"checkpoint","step":70');
    // Before the checkpoint's record, inside it, after it, inside the sample, before and inside the last record.
    for (const marker of ['checkpoint","step":70', "sample", "done"]) {
      const start = log.indexOf(`{"v":2,"type":"${marker}`);
      assert.ok(start >= record);
      for (const end of [start, start + 20]) {
        await Deno.writeTextFile(`${run}/log.ndjson`, log.slice(0, end));
        const { stdout } = await succeeds("train", ["--resume", run, "--ndjson", "-"], folder);
        assert.deepEqual(outcome(run), expected, `cut at ${log.slice(end, end + 40)}`);
        assert.ok(timeless(log).endsWith(timeless(stdout)));
      }
    }
  }));

Deno.test("a run killed before the record of a checkpoint without an evaluation writes it when resumed", () =>
  inFolder(async (folder) => {
    const args = ["tiny.yaml", "train.steps=9", "eval.every=9", "output.checkpoint_every=4"];
    await succeeds("train", args, folder);
    const run = latest(folder);
    const expected = outcome(run);
    const log = logOf(run);
    const at8 = log.indexOf('{"v":2,"type":"checkpoint","step":8');
    await Deno.writeTextFile(`${run}/log.ndjson`, log.slice(0, at8));
    await Deno.remove(`${run}/checkpoints/9`, { recursive: true });
    await Deno.remove(`${run}/checkpoints/best`);
    await point(run, "last", "8");
    await succeeds("train", ["--resume", run], folder);
    assert.deepEqual(outcome(run), expected);
  }));

Deno.test("a run killed before best pointed at its best checkpoint corrects it, and removes checkpoints it no longer needs", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=9", "output.checkpoint_every=3"], folder);
    const run = latest(folder);
    const log = logOf(run);
    // Step 6 was the best there will be, but best still points at 3, and last not yet at 9.
    const six = `${run}/checkpoints/6`;
    const state = JSON.parse(Deno.readTextFileSync(`${six}/state.json`));
    await Deno.writeTextFile(
      `${six}/state.json`,
      JSON.stringify({ ...state, best: { step: 6, val_loss: 0 } }),
    );
    for (const step of [3, 6]) {
      const config = `${run}/checkpoints/${step}/config.yaml`;
      await Deno.writeTextFile(config, Deno.readTextFileSync(config).replace("_every: 3", "_every: 0"));
      if (step === 6) await reseal(six);
    }
    await Deno.remove(`${run}/checkpoints/9`, { recursive: true });
    await point(run, "last", "6");
    await point(run, "best", "3");
    await Deno.writeTextFile(
      `${run}/log.ndjson`,
      log.slice(0, log.indexOf('{"v":2,"type":"checkpoint","step":6')),
    );
    await succeeds("train", ["--resume", run], folder);
    assert.deepEqual(tree(`${run}/checkpoints`).filter((path) => !path.includes("/")), [
      "6",
      "9",
      "best",
      "last",
    ]);
    assert.deepEqual([checkpoint(run, "best"), checkpoint(run)], [six, `${run}/checkpoints/9`]);
    const withoutBest = (text: string) => timeless(text).replace(/"best":\{[^}]*\}/, "");
    const configured = (text: string) =>
      withoutBest(text).replace('"checkpoint_every":3', '"checkpoint_every":0');
    assert.equal(configured(logOf(run)), configured(log));
  }));

Deno.test("a run that has ended, one without a checkpoint, and a missing one are one line and exit code 2", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const run = latest(folder);
    const before = logOf(run);
    const expectRefusal = async (path: string, pattern: RegExp) => {
      const { code, stdout, stderr } = await script("train", ["--resume", path], folder);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, pattern);
    };
    await expectRefusal("runs/latest", /^train: runs\/tiny\/.*: the run has ended at step 6; .*\n$/);
    assert.equal(logOf(run), before);
    await expectRefusal("runs/tinny", /^train: runs\/tinny: not found, .* Did you mean "runs\/tiny"\?\n$/);
    await Deno.remove(`${run}/checkpoints`, { recursive: true });
    await expectRefusal("runs/latest", /^train: runs\/latest: there is no checkpoint to resume from\.\n$/);
    const { code, stderr } = await script("train", ["tiny.yaml", "--resume", "runs/latest"], folder);
    assert.equal(code, 2);
    assert.match(stderr, /^train: tiny\.yaml: a resumed run uses its own configuration; .*\n$/);
  }));

Deno.test("a run that the TypeScript device wrote when it was called cpu continues on reference, byte for byte", () =>
  inFolder(async (folder) => {
    await succeeds("train", [...LONG, "train.steps=90", "eval.every=30", "--device", "reference"], folder);
    const run = latest(folder);
    const expected = outcome(run);
    // As a kill behind step 69 leaves it, with the names that the device then had.
    await Deno.remove(`${run}/checkpoints/90`, { recursive: true });
    for (const which of ["best", "last"] as const) await point(run, which, "60");
    const log = logOf(run);
    await Deno.writeTextFile(
      `${run}/log.ndjson`,
      log.slice(0, log.indexOf('{"v":2,"type":"step","step":70,')),
    );
    const older = async (path: string, now: string, old: string) => {
      const text = await Deno.readTextFile(path);
      assert.ok(text.includes(now), path);
      await Deno.writeTextFile(path, text.replace(now, old));
    };
    const saved = `${run}/checkpoints/60`;
    for (const path of [run, saved]) await older(`${path}/config.yaml`, "device: reference", "device: cpu");
    await older(`${saved}/state.json`, "Reference (TypeScript)", "CPU (TypeScript)");
    await reseal(saved);
    assert.equal((await script("train", ["--resume", run], folder)).code, 2);
    await succeeds("train", ["--resume", run, "--device", "reference"], folder);
    assert.deepEqual(outcome(run), expected);
  }));

Deno.test("--resume --device continues on that device, which the checkpoints that follow name", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "output.checkpoint_every=3"], folder);
    const run = latest(folder);
    await Deno.remove(`${run}/checkpoints/6`, { recursive: true });
    for (const which of ["best", "last"] as const) await point(run, which, "3");
    const log = logOf(run);
    await Deno.writeTextFile(
      `${run}/log.ndjson`,
      log.slice(0, log.indexOf('{"v":2,"type":"step","step":5,')),
    );
    const { stderr } = await succeeds("train", ["--resume", run, "--device", "reference"], folder);
    assert.match(stderr, /^device: Reference \(TypeScript\): as requested$/m);
    assert.match(await Deno.readTextFile(`${checkpoint(run)}/config.yaml`), /^device: reference$/m);
    assert.match(
      await Deno.readTextFile(`${checkpoint(run)}/state.json`),
      /"device": "Reference \(TypeScript\)"/,
    );
    await succeeds("verify_load", [run], folder);
  }));
