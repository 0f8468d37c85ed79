// Resuming a run although data outside its folder has changed.
import assert from "node:assert/strict";
import { checkpoint, inFolder, latest, logOf, point, script, succeeds } from "./harness.ts";

/** Reverts an ended run to its checkpoint of step 3, as if it had been killed after it. */
async function stoppedAt3(run: string): Promise<void> {
  await Deno.remove(`${run}/checkpoints/6`, { recursive: true });
  for (const which of ["last", "best"] as const) await point(run, which, "3");
  const log = logOf(run);
  await Deno.writeTextFile(`${run}/log.ndjson`, log.slice(0, log.search(/\{"v":\d,"type":"step","step":4/)));
}

const dataOf = (path: string): unknown => JSON.parse(Deno.readTextFileSync(`${path}/state.json`)).data;

/** Asserts that resuming fails and then succeeds with --accept-changes; `keys` name what has changed. */
async function refusedThenAccepted(folder: string, keys: string): Promise<void> {
  const run = latest(folder);
  const path = `${run.slice(folder.length + 1)}/checkpoints/3`;
  const before = logOf(run);
  const { code, stdout, stderr } = await script("train", ["--resume", run.slice(folder.length + 1)], folder);
  assert.deepEqual([code, stdout], [2, ""], stderr);
  const [was] = stderr.match(/and was [0-9a-f]{16}/)!;
  const line = `train: ${path}: ${keys}: the data has changed, its SHA-256 is `;
  const remedy = `restore it, or accept the change: deno task train --resume ${path} --accept-changes\n`;
  assert.equal(stderr.replace(/is [0-9a-f]{16} and was [0-9a-f]{16}/, "is "), `${line}; ${remedy}`);
  assert.equal(logOf(run), before);
  const verified = await script("verify_load", [path], folder);
  assert.equal(verified.code, 1);
  assert.match(verified.stdout, /\nFAIL validation loss: data\.\S+ \S+: the data has changed/);
  // Killed before the next checkpoint and accepted again, it still has one warning.
  const acceptedLog = async () => {
    const { stderr } = await succeeds("train", ["--resume", path, "--accept-changes"], folder);
    assert.match(stderr, /^warning: /);
    const warnings = logOf(run).match(/\{"v":\d,"type":"warning".*\n/g)!;
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], /"step":3,"code":"data_changed","message":"data\./);
    assert.ok(warnings[0].includes(was), warnings[0]);
  };
  await acceptedLog();
  assert.notEqual(dataOf(checkpoint(run)), dataOf(`${run}/checkpoints/3`));
  // An accepted change is undone by a kill before the next checkpoint.
  const lines = logOf(run).split("\n");
  const end = lines.findIndex((line) => line.includes('"type":"step","step":5'));
  await stoppedAt3(run);
  await Deno.writeTextFile(`${run}/log.ndjson`, `${lines.slice(0, end).join("\n")}\n`);
  await acceptedLog();
}

Deno.test("a run whose text has changed is an error of one line that names it; --accept-changes logs a warning and seals the new text", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "output.checkpoint_every=3"], folder);
    await stoppedAt3(latest(folder));
    const text = Deno.readTextFileSync(`${folder}/text.txt`);
    await Deno.writeTextFile(`${folder}/text.txt`, text.replace("31", "32"));
    await refusedThenAccepted(folder, "data.files [text.txt]");
    // From then on the new text is the run's.
    const run = latest(folder);
    await Deno.writeTextFile(
      `${run}/log.ndjson`,
      logOf(run).replace(/\{"v":\d,"type":"(sample|done)".*\n/g, ""),
    );
    await succeeds("train", ["--resume", run], folder);
    await stoppedAt3(run);
    // A character that the run's tokenizer does not know is reported as a change as well.
    await Deno.writeTextFile(`${folder}/text.txt`, text.replace("The", "\u00c9"));
    const { code, stderr } = await script("train", ["--resume", "runs/latest"], folder);
    assert.equal(code, 2);
    assert.match(stderr, /the data has changed/);
  }));

Deno.test("--accept-changes without --resume is one line", () =>
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await script("train", ["tiny.yaml", "--accept-changes"], folder);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.equal(
      stderr,
      "train: --accept-changes: applies only to --resume RUN.\n",
    );
  }));
