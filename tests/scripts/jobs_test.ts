// Repeated jobs of a sweep, runs that another process is writing, and killed runs.
import assert from "node:assert/strict";
import { lockFolder } from "../../src/runs/lock.ts";
import {
  ended,
  inFolder,
  latest,
  logOf,
  script,
  start,
  succeeds,
  timeless,
  tree,
  until,
  youngest,
} from "./harness.ts";

/** The words after `deno task train` of a sweep's first job. */
async function firstJob(folder: string, args: readonly string[]): Promise<string[]> {
  const { stdout } = await succeeds("train", [...args, "--jobs"], folder);
  return JSON.parse(stdout.split("\n")[0]).command.slice(3);
}

const SWEEP = ["tiny.yaml", "optimizer.lr=[0.001,0.003]", "train.steps=300", "output.checkpoint_every=30"];
const FIRST = "tiny-01-lr=0.001";

/** The folder of the one sweep. */
const sweepOf = (folder: string) =>
  `runs/${tree(`${folder}/runs`).find((path) => /-sweep-[0-9a-f]{8}$/.test(path))}`;

/** Starts training and kills it when its newest log contains a text. */
async function killedAt(folder: string, args: readonly string[], marker: string): Promise<string> {
  const process = start("train", args, folder);
  const newest = () => youngest(folder, sweepOf(folder));
  await until(() => {
    try {
      return logOf(newest()).includes(marker);
    } catch {
      return false;
    }
  });
  process.kill("SIGKILL");
  assert.equal((await ended(process)).code, 137);
  return newest();
}

Deno.test("a job that was killed continues when it is run again, and is not repeated when it has ended", () =>
  inFolder(async (folder) => {
    const job = await firstJob(folder, SWEEP);
    await succeeds("train", job, folder);
    const unbroken = timeless(logOf(latest(folder, sweepOf(folder))));
    await Deno.remove(`${folder}/runs`, { recursive: true });
    const run = await killedAt(folder, job, '"type":"checkpoint","step":60');
    await succeeds("train", job, folder);
    assert.equal(timeless(logOf(run)), unbroken);
    const { stdout, stderr } = await succeeds("train", job, folder);
    assert.equal(stdout, "");
    assert.equal(stderr, `${run.slice(folder.length + 1)}: the run has already ended.\n`);
    const name = `${folder}/${sweepOf(folder)}/${FIRST}`;
    assert.deepEqual(tree(name).filter((path) => !path.includes("/")), [run.split("/").at(-1)]);
    // Another configuration under its name is another run.
    await succeeds("train", [...job, "train.steps=2"], folder);
    assert.equal(tree(name).filter((path) => !path.includes("/")).length, 2);
    assert.match((await succeeds("train", job, folder)).stderr, /: the run has already ended\.\n$/);
  }));

Deno.test("a run that another process is writing cannot be resumed: by --resume, by its job, by its sweep", () =>
  inFolder(async (folder) => {
    const job = await firstJob(folder, SWEEP);
    const run = (await killedAt(folder, job, '"type":"checkpoint","step":60')).slice(folder.length + 1);
    const log = logOf(`${folder}/${run}`);
    const refused = async (args: readonly string[], line: string) => {
      const { code, stdout, stderr } = await script("train", args, folder);
      assert.deepEqual([code, stdout, stderr], [2, "", line]);
      assert.equal(logOf(`${folder}/${run}`), log);
    };
    {
      using _ = await lockFolder(`${folder}/${run}`, "");
      await refused(["--resume", run], `train: ${run}: another process is writing this run.\n`);
      await refused(job, `train: ${run}: another process is writing this run.\n`);
      await refused(SWEEP, `train: ${FIRST}: ${run}: another process is writing this run.\n`);
      await succeeds("train", ["--resume", run, "--dry-run"], folder);
    }
    const name = `${sweepOf(folder)}/${FIRST}`;
    {
      // Before it has a folder of its own a run is known by its name alone.
      using _ = await lockFolder(`${folder}/${name}`, "");
      await refused(job, `train: ${name}: another process is running it.\n`);
      await refused(SWEEP, `train: ${FIRST}: ${name}: another process is running it.\n`);
    }
    await succeeds("train", ["--resume", run], folder);
    assert.equal(tree(`${folder}/runs`).filter((path) => path.endsWith(".lock")).length, 0);
  }));

Deno.test("training holds the lock of its run until it ends", () =>
  inFolder(async (folder) => {
    const process = start("train", ["tiny.yaml", "train.steps=5000", "output.checkpoint_every=5"], folder);
    await until(() => {
      try {
        return logOf(latest(folder)).includes('"type":"checkpoint","step":5');
      } catch {
        return false;
      }
    });
    const { code, stderr } = await script("train", ["--resume", "runs/latest"], folder);
    assert.deepEqual(
      [code, /^train: runs\/tiny\/.*: another process is writing this run\.\n$/.test(stderr)],
      [2, true],
      stderr,
    );
    process.kill("SIGINT");
    assert.equal((await ended(process)).code, 130);
    assert.equal(tree(`${folder}/runs`).filter((path) => path.endsWith(".lock")).length, 0);
  }));

Deno.test("a run killed before its first checkpoint is restarted, and collected once", () =>
  inFolder(async (folder) => {
    const args = [...SWEEP.slice(0, 2), "train.steps=40", "eval.every=40"];
    const killed = await killedAt(folder, args, '"type":"step","step":1,');
    await succeeds("train", args, folder);
    const { stdout, stderr } = await succeeds("collect", ["runs"], folder);
    assert.deepEqual(stdout.trimEnd().split("\n").slice(1).map((row) => row.split(/ +/)[0]), [
      FIRST,
      "tiny-02-lr=0.003",
    ]);
    assert.match(
      stderr,
      /^[^\n]*: stopped at step \d+, was restarted in another folder and is left out\.\n$/,
    );
    assert.ok(stderr.startsWith(`${killed.slice(folder.length + 1)}/log.ndjson: `), stderr);
  }));

Deno.test("a damaged log is reported in one line, the others are collected, and the exit code is 1", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    await Deno.mkdir(`${folder}/runs/bad/1`, { recursive: true });
    const log = logOf(latest(folder)).split("\n");
    await Deno.writeTextFile(
      `${folder}/runs/bad/1/log.ndjson`,
      [log[0], '{"v":1,"type":"step"}', ...log.slice(1)].join("\n"),
    );
    const { code, stdout, stderr } = await script("collect", ["--chart", "losses.svg"], folder);
    assert.equal(code, 1);
    assert.match(stderr, /^collect: runs\/bad\/1\/log\.ndjson: line 2: [^\n]*\nlosses\.svg\n$/);
    assert.equal(stdout.trimEnd().split("\n").length, 2);
    assert.match(stdout, /\ntiny .* done\n$/);
    // A log counts once, by whatever names it is given.
    const twice = await script("collect", ["runs", "runs/latest", "./runs"], folder);
    assert.equal(twice.stdout, stdout);
  }));

Deno.test("a configuration given by its name is given by its name in --jobs, because other machines may not have the file", () =>
  inFolder(async (folder) => {
    const job = await firstJob(folder, ["copy", "seed=[1,2]"]);
    assert.equal(job[0], "copy");
    assert.match((await succeeds("train", [...job, "--dry-run"], folder)).stdout, /^name: copy-01-seed=1\n/);
    // A prefix stands for many files; each is named by its path.
    await Deno.mkdir(`${folder}/configs`);
    for (const name of ["tiny-a", "tiny-b"]) {
      await Deno.copyFile(`${folder}/tiny.yaml`, `${folder}/configs/${name}.yaml`);
    }
    assert.equal((await firstJob(folder, ["tiny"]))[0], "configs/tiny-a.yaml");
    assert.equal((await firstJob(folder, ["tiny-a"]))[0], "tiny-a");
  }));

Deno.test("a run of a sweep is found by its name, the newest of those that have it", () =>
  inFolder(async (folder) => {
    const short = ["tiny.yaml", "optimizer.lr=[0.001,0.003]"];
    await succeeds("train", short, folder);
    const { stdout } = await succeeds("stats", ["tiny-02-lr=0.003"], folder);
    assert.match(stdout, /^runs\/tiny-sweep-[0-9a-f]{8}\/tiny-02-lr=0\.003\/[^/]+\/log\.ndjson\n/);
    await succeeds("generate", ["tiny-02-lr=0.003", "--tokens", "2"], folder);
    const sweep = sweepOf(folder);
    const expected = "expected a run folder, a checkpoint folder or the name of a run";
    const inside = "It contains: latest, tiny-01-lr=0.001, tiny-02-lr=0.003.";
    for (
      const [given, line] of [
        ["tiny-02-lr=0.03", `tiny-02-lr=0.03: not found, ${expected}. Did you mean "tiny-02-lr=0.003"?`],
        [sweep, `${sweep}: is neither a run nor a checkpoint, ${expected}. ${inside}`],
        [sweep.slice(5), `${sweep}: is neither a run nor a checkpoint, ${expected}. ${inside}`],
        [
          "runs",
          `runs: is neither a run nor a checkpoint, ${expected}. It contains: latest, ${sweep.slice(5)}.`,
        ],
        ["", `"": ${expected}.`],
      ]
    ) {
      const { code, stderr } = await script("stats", [given], folder);
      assert.deepEqual([code, stderr], [2, `stats: ${line}\n`]);
    }
    // Another sweep with a run of that name, made later.
    const other = sweep.replace(/\w{8}$/, "00000000");
    await Deno.mkdir(`${folder}/${other}/tiny-02-lr=0.003`, { recursive: true });
    await Deno.rename(latest(folder, sweep), `${folder}/${other}/tiny-02-lr=0.003/29991231-000000-a`);
    assert.match((await succeeds("stats", ["tiny-02-lr=0.003"], folder)).stdout, /\/29991231-000000-a\/log/);
  }));

Deno.test("a huge loss is printed with an exponent", () =>
  inFolder(async (folder) => {
    // So large a step that the loss is about 1e16 and still a number: in float32 sums, its norm layers overflow.
    const args = [
      "tiny.yaml",
      "optimizer.name=sgd",
      "optimizer.lr=[1e5]",
      "train.steps=3",
      "device=reference",
    ];
    const { stdout, stderr } = await succeeds("train", args, folder);
    assert.match(
      stderr,
      /^1\/1 \S+ {2}step 3: val loss (\d\.\d+e\d+|NaN|inf), best (\d\.\d+e\d+|none)\n$/,
    );
    assert.doesNotMatch(stdout, /\d{9}/);
  }));
