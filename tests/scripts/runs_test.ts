// Finding runs: listed among damaged folders, named by the beginning of a time or id.
import assert from "node:assert/strict";
import { basename } from "node:path";
import { ended, inFolder, latest, script, start, succeeds, tree, until } from "./harness.ts";

const SHORT = ["tiny.yaml", "train.steps=1", "eval.batches=1", "sample.tokens=0"];

Deno.test("runs lists a link to nowhere and a run without a readable config.yaml with the others", () =>
  inFolder(async (folder) => {
    await succeeds("train", SHORT, folder);
    await Deno.symlink("nowhere", `${folder}/runs/gone`);
    const bad = "runs/tiny/20250102-030405-0a1b2c3d";
    await Deno.mkdir(`${folder}/${bad}/checkpoints`, { recursive: true });
    await Deno.writeTextFile(`${folder}/${bad}/config.yaml`, "seed: [1\n");
    const { code, stdout, stderr } = await script("runs", [], folder);
    assert.deepEqual([code, stderr], [0, ""]);
    const [heading, ...rows] = stdout.trimEnd().split("\n");
    assert.match(heading, /^path +time +step +val_loss +fault$/);
    assert.deepEqual(rows.map((row) => row.split(/ +/)[0]), [
      "runs/gone",
      bad,
      latest(folder).slice(folder.length + 1),
    ]);
    assert.match(rows[0], /runs\/gone: No such file/);
    assert.match(rows[1], /2025-01-02T03:04:05Z .*config\.yaml:2:1: not valid YAML/);
    const output = await succeeds("runs", ["--format", "ndjson"], folder);
    const faults = output.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).fault);
    assert.deepEqual(faults.map((fault) => fault === null), [false, false, true]);
  }));

Deno.test("every task that takes a run takes the beginning of its time or id; of several all are named in one line", () =>
  inFolder(async (folder) => {
    await succeeds("train", SHORT, folder);
    const run = latest(folder);
    const name = basename(run);
    const [time, id] = [name.slice(0, 13), name.split("-")[2]];
    const tasks = [
      ["generate", [time, "--prompt", "The ", "--tokens", "2"]],
      ["verify_load", [id]],
      ["stats", [id.slice(0, 5)]],
      ["plot", [name, "--metric", "loss", "--out", "loss.svg"]],
      ["report", [time]],
      ["collect", [id]],
      ["runs", [time]],
      ["runs", ["--diff", id, name]],
      ["train", ["--from", id, "train.steps=1", "eval.batches=1", "sample.tokens=0", "name=next"]],
    ] as const;
    for (const [task, args] of tasks) await succeeds(task, args, folder);
    const day = name.slice(0, 8);
    const { code, stderr } = await script("generate", [day], folder);
    const paths = [run, latest(folder)].map((path) => path.slice(folder.length + 1)).sort();
    assert.equal(code, 2);
    assert.equal(
      stderr,
      `generate: ${day}: 2 runs begin with ${day}, expected one: ${paths.join(", ")}.\n`,
    );
  }));

Deno.test("collect follows a text file latest, where there are no links", () =>
  inFolder(async (folder) => {
    await succeeds("train", SHORT, folder);
    const target = latest(folder).slice(`${folder}/runs/`.length);
    await Deno.remove(`${folder}/runs/latest`);
    await Deno.writeTextFile(`${folder}/runs/latest`, `${target}\n`);
    const { stdout } = await succeeds("collect", ["runs/latest"], folder);
    assert.match(stdout, /\ntiny .* done\n$/);
  }));

/** The run of runs/latest: the one that stats reads. */
async function named(folder: string, path = "runs/latest"): Promise<string> {
  const { stdout } = await succeeds("stats", [path], folder);
  return stdout.split("\n")[0].replace(/\/log\.ndjson$/, "");
}

Deno.test("runs/latest points at the newest run with a checkpoint", () =>
  inFolder(async (folder) => {
    await succeeds("train", SHORT, folder);
    const first = await named(folder);
    const process = start(
      "train",
      ["tiny.yaml", "name=younger", "train.steps=100000", "eval.every=90000"],
      folder,
    );
    const log = () => tree(`${folder}/runs`).find((path) => /^younger\/.*\/log\.ndjson$/.test(path));
    await until(() =>
      Deno.readTextFileSync(`${folder}/runs/${log() ?? "../text.txt"}`).includes('"type":"step"')
    );
    assert.equal(await named(folder), first);
    process.kill("SIGINT");
    assert.equal((await ended(process)).code, 130);
    assert.equal(await named(folder), `runs/${log()!.replace(/\/log\.ndjson$/, "")}`);
    // After its removal the previous one is the newest again.
    await Deno.remove(`${folder}/runs/younger`, { recursive: true });
    assert.equal(await named(folder), first);
    await succeeds("generate", ["--prompt", "The ", "--tokens", "2"], folder);
  }));

Deno.test("runs/latest points at a sweep after one, and stands for its newest run", () =>
  inFolder(async (folder) => {
    await succeeds("train", SHORT, folder);
    // The time in a folder's name has seconds.
    await new Promise((resume) => setTimeout(resume, 1000));
    await succeeds("train", [...SHORT, "seed=[1,2]"], folder);
    const pointer = basename(latest(folder));
    assert.match(pointer, /^tiny-sweep-[0-9a-f]{8}$/);
    assert.match(await named(folder), new RegExp(`^runs/${pointer}/tiny-02-seed=2/`));
    await succeeds("verify_load", ["runs/latest/checkpoints/last"], folder);
    const { stdout } = await succeeds("collect", ["runs/latest"], folder);
    assert.equal(stdout.trimEnd().split("\n").length, 3);
  }));

Deno.test("report leaves out a chart that cannot be read, and says so", () =>
  inFolder(async (folder) => {
    await succeeds("train", SHORT, folder);
    await Deno.symlink("nowhere.svg", `${latest(folder)}/charts/own.svg`);
    const { code, stderr } = await script("report", [], folder);
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^report: runs\/tiny\/.*\/own\.svg: No such file or directory\..* It is left out\.$/m,
    );
  }));
