// End-to-end tests of sweeps: many runs, one table; killed and continued; as jobs for other programs.
import assert from "node:assert/strict";
import {
  ended,
  latest,
  logOf,
  script,
  start,
  succeeds,
  taskArguments,
  timeless,
  tree,
  until,
} from "./harness.ts";
import { inGrid, sweepOf } from "./grid.ts";
import { assertOneLine, CLEARED, onTerminal } from "./screen.ts";

const NAMES = [8, 16].flatMap((dim, i) =>
  [0.001, 0.003, 0.01].map((lr, j) => `grid-0${3 * i + j + 1}-dim=${dim}-lr=${lr}`)
);

/** The logs of a sweep by the path of their run's name, without times. */
function logsOf(sweep: string): Record<string, string> {
  const logs = tree(sweep).filter((path) => path.endsWith("/log.ndjson") && !path.startsWith("latest"));
  return Object.fromEntries(
    logs.map((path) => [path.split("/")[0], timeless(Deno.readTextFileSync(`${sweep}/${path}`))]),
  );
}

Deno.test("a 2 x 3 sweep killed in the middle, twice, continues by the same command to the table, chart and logs of an uninterrupted one", () =>
  inGrid(async (folder) => {
    const unbroken = await succeeds("train", ["grid.yaml"], folder);
    const expected = {
      logs: logsOf(sweepOf(folder)),
      chart: Deno.readTextFileSync(`${sweepOf(folder)}/val_loss.svg`),
    };
    assert.deepEqual(Object.keys(expected.logs).sort(), NAMES);
    const table = unbroken.stdout.trimEnd().split("\n");
    assert.match(
      table[0],
      /^name +model\.dim +optimizer\.lr +parameters +steps +best_loss +best_step +last_loss$/,
    );
    assert.deepEqual(
      table.slice(1, 7).map((row) => row.split(/ +/).slice(0, 3)),
      NAMES.map((name) => {
        const [, dim, lr] = /dim=(.*)-lr=(.*)/.exec(name)!;
        return [name, dim, lr];
      }),
    );
    assert.match(
      table[7],
      /^runs\/grid-sweep-[0-9a-f]{8}: val_loss\.svg, index\.json, a folder for each run$/,
    );
    const lines = unbroken.stderr.trimEnd().split("\n");
    const evaluated = lines.filter((line) => /^\d\/6 \S+ {2}step (40|80): val loss \d\.\d{4}$/.test(line));
    assert.deepEqual(evaluated.length, 6 * 2);
    assert.deepEqual(
      lines.filter((line) => line.includes("best")).map((line) =>
        /^(\d\/6 \S+) {2}step 120: val loss \d\.\d{4}, best \d\.\d{4}$/.exec(line)?.[1]
      ),
      NAMES.map((name, i) => `${i + 1}/6 ${name}`),
    );

    await Deno.remove(`${folder}/runs`, { recursive: true });
    for (
      const [name, marker] of [[NAMES[1], '"type":"checkpoint","step":40'], [
        NAMES[3],
        '"type":"step","step":55,',
      ]]
    ) {
      const process = start("train", ["grid.yaml"], folder);
      await until(() => {
        try {
          // Checked once: between two checks the next run may begin, and would be killed before its first checkpoint.
          const run = latest(folder, sweepOf(folder).slice(folder.length + 1));
          return run.includes(name) && logOf(run).includes(marker);
        } catch {
          return false;
        }
      });
      process.kill("SIGKILL");
      assert.equal((await ended(process)).code, 137);
    }
    const sweep = sweepOf(folder);
    const index = JSON.parse(Deno.readTextFileSync(`${sweep}/index.json`));
    assert.deepEqual(index.ended.map(({ name }: { name: string }) => name), NAMES.slice(0, 3));
    const before = index.ended.map(({ path }: { path: string }) =>
      Deno.statSync(`${sweep}/${path}/log.ndjson`).mtime
    );
    const resumed = await succeeds("train", ["grid.yaml"], folder);
    assert.equal(resumed.stdout, unbroken.stdout);
    assert.deepEqual(resumed.stderr.match(/\(already ended\)/g)?.length, 3);
    const outputs = { logs: logsOf(sweep), chart: Deno.readTextFileSync(`${sweep}/val_loss.svg`) };
    assert.deepEqual(outputs, expected);
    // One folder per run: started runs were resumed, and ended ones left unchanged.
    const folders = tree(sweep).filter((path) => /^grid-\d\d-[^/]+\/[^/]+$/.test(path));
    assert.equal(folders.length, 6);
    assert.deepEqual(
      index.ended.map(({ path }: { path: string }) => Deno.statSync(`${sweep}/${path}/log.ndjson`).mtime),
      before,
    );
    const again = await succeeds("train", ["grid.yaml"], folder);
    assert.equal(again.stdout, unbroken.stdout);
    assert.equal(again.stderr.match(/\(already ended\)/g)?.length, 6);
    // Without its index it is found again from the logs.
    await Deno.writeTextFile(`${sweep}/index.json`, "torn {");
    assert.equal((await succeeds("train", ["grid.yaml"], folder)).stdout, unbroken.stdout);
    assert.deepEqual(JSON.parse(Deno.readTextFileSync(`${sweep}/index.json`)).ended.length, 6);
  }));

Deno.test("Ctrl-C saves the current run of a sweep, exits with 130, and the same command continues", () =>
  inGrid(async (folder) => {
    const short = ["grid.yaml", "model.dim=8", "optimizer.lr=[0.001,0.01]"];
    const { stdout } = await succeeds("train", short, folder);
    await Deno.remove(`${folder}/runs`, { recursive: true });
    const process = start("train", short, folder);
    await until(() => {
      try {
        return tree(sweepOf(folder)).some((path) => /^grid-02.*log\.ndjson$/.test(path));
      } catch {
        return false;
      }
    });
    process.kill("SIGINT");
    const { code, stderr } = await ended(process);
    assert.equal(code, 130, stderr);
    assert.match(
      stderr,
      /\nStopped and saved at step \d+ of grid-02-lr=0\.01\. Continue with the same command\.\n$/,
    );
    assert.equal((await succeeds("train", short, folder)).stdout, stdout);
  }));

Deno.test("on a terminal a sweep has one line of progress per run, rewritten until it ends", () =>
  inGrid(async (folder) => {
    const args = ["grid.yaml", "model.dim=8", "optimizer.lr=[0.001,0.01]"];
    const { seen } = await onTerminal("train", args, folder);
    const progress = assertOneLine(seen);
    for (const run of ["1/2 grid-01-lr=0.001", "2/2 grid-02-lr=0.01"]) {
      const updates = progress.filter((line) => line.startsWith(run));
      assert.ok(updates.length >= 3, JSON.stringify(progress));
      const lines = seen.replaceAll(CLEARED, "\n").split(/\r?\n/).filter((line) =>
        line.startsWith(run) && line.includes("val loss")
      );
      assert.deepEqual(lines.map((line) => /step (\d+): val loss/.exec(line)![1]), ["40", "80", "120"]);
      assert.match(lines.at(-1)!, / {2}step 120: val loss \d\.\d{4}, best \d\.\d{4}$/);
    }
  }));

Deno.test("a second process cannot run the same sweep", () =>
  inGrid(async (folder) => {
    const process = start("train", ["grid.yaml", "train.steps=5000"], folder);
    await until(() => {
      try {
        return tree(sweepOf(folder)).includes(".lock");
      } catch {
        return false;
      }
    });
    const { code, stderr } = await script("train", ["grid.yaml", "train.steps=5000"], folder);
    assert.equal(code, 2);
    assert.match(stderr, /^train: runs\/grid-sweep-[0-9a-f]{8}: another process is running this sweep\.\n$/);
    process.kill("SIGKILL");
    await ended(process);
  }));

Deno.test("--dry-run prints the runs with parameters, memory and steps as a table, --ablate adds the ablations; nothing is written", () =>
  inGrid(async (folder) => {
    const before = tree(folder);
    const args = ["grid.yaml", "optimizer.lr=0.01", "--ablate", "--dry-run"];
    const { stdout, stderr } = await succeeds("train", args, folder);
    assert.equal(stderr, "");
    const [heading, ...rows] = stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/));
    assert.deepEqual(heading, ["name", "parameters", "memory", "steps", "device"]);
    // Without positions: 16 rows fewer of the width.
    assert.deepEqual(rows.map(([name, parameters]) => [name, Number(parameters)]), [
      ["grid-01-baseline-dim=8", 1176],
      ["grid-02-baseline-dim=16", 3888],
      ["grid-03-no_positions-dim=8", 1176 - 16 * 8],
      ["grid-04-no_positions-dim=16", 3888 - 16 * 16],
    ]);
    for (const row of rows) assert.match(row.slice(2).join(" "), /^\d+\.\d KiB 120 cpu$/);
    assert.deepEqual(tree(folder), before);
  }));

Deno.test("mistakes in a sweep are one line with the run and the key, exit code 2, and leave nothing behind", () =>
  inGrid(async (folder) => {
    const mistakes: [string[], RegExp][] = [
      [
        ["model.dim=[8,9]"],
        /^train: grid-04-dim=9-lr=0\.001: override model\.dim=\[8,9\]: model\.heads: 2 does not /,
      ],
      [["optimizer.lr=[a,1]"], /^train: grid-01-dim=8-lr=a: .*expected a number above 0, found "a"\./],
      [
        ["data.files=[[no.txt],[text.txt]]"],
        /^train: grid-01-files=no\.txt-dim=8-lr=0\.001: no\.txt does not exist; /,
      ],
      [["sample.prompt=é"], /^train: grid-01-dim=8-lr=0\.001: sample\.prompt: /],
      [["seed=[1,1]"], /^train: grid\.yaml: seed: 1 is listed twice\./],
      [["~ablations", "--ablate"], /^train: grid\.yaml: ablations: none are defined; /],
      [["--jobs", "--ablat"], /^train: --ablat: unknown option\. Did you mean "ablate"\?/],
      [
        ["+share=1"],
        /^train: grid-01-dim=8-lr=0\.001: grid\.yaml: hooks\.share: this key must be declared in a hooks file; /,
      ],
      [["output.dir=text.txt"], /^train: text\.txt.*: /],
    ];
    const before = tree(folder);
    for (const [args, pattern] of mistakes) {
      const { code, stdout, stderr } = await script("train", ["grid.yaml", ...args], folder);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, pattern);
      assert.match(stderr, /^[^\n]+\n$/);
      assert.deepEqual(tree(folder), before, args.join(" "));
    }
    const { code, stderr } = await script("train", ["--resume", "runs/latest", "--jobs"], folder);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^train: --jobs: a resumed run uses its own configuration; leave it out after --resume\.\n$/,
    );
  }));

/** Whether a program is installed. */
async function isInstalled(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

const WORKERS = { xargs: "xargs -P 2 -L 1 env", parallel: "parallel -j 2" };

for (const [program, workers] of Object.entries(WORKERS)) {
  Deno.test({
    name:
      `the jobs of a sweep run by two workers of ${program} are collected to the table of the sweep itself`,
    ignore: !await isInstalled(program) || !await isInstalled("jq"),
    fn: () =>
      inGrid(async (folder) => {
        const alone = await succeeds("train", ["grid.yaml", "train.steps=40"], folder);
        const expected = logsOf(sweepOf(folder));
        await Deno.remove(`${folder}/runs`, { recursive: true });
        // The line of the README as it stands; here a task runs in the folder where it is called.
        await Deno.mkdir(`${folder}/bin`);
        const task = [Deno.execPath(), ...taskArguments("train")].map((word) => `'${word}'`).join(" ");
        await Deno.writeTextFile(`${folder}/bin/deno`, `#!/bin/sh\nshift 2\nexec ${task} "$@"\n`, {
          mode: 0o755,
        });
        const recipe =
          `deno task train grid.yaml train.steps=40 --jobs | jq -r '.command | @sh' | ${workers}`;
        const { code, stderr } = await new Deno.Command("sh", {
          args: ["-c", recipe],
          cwd: folder,
          env: { PATH: `${folder}/bin:${Deno.env.get("PATH")}`, NO_COLOR: "1" },
        }).output();
        assert.equal(code, 0, new TextDecoder().decode(stderr));
        assert.deepEqual(logsOf(sweepOf(folder)), expected);
        const swept = await succeeds("train", ["grid.yaml", "train.steps=40"], folder);
        assert.equal(swept.stdout, alone.stdout);
        assert.equal(swept.stderr.match(/\(already ended\)/g)?.length, 6);
      }),
  });
}

Deno.test("--jobs prints one command per run, not quoted for a shell, and a single run is one job", () =>
  inGrid(async (folder) => {
    const before = tree(folder);
    const { stdout } = await succeeds(
      "train",
      ["grid.yaml", 'sample.prompt=[The , "a\'b"]', "--jobs"],
      folder,
    );
    const jobs = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.equal(jobs.length, 12);
    assert.deepEqual(Object.keys(jobs[0]), ["v", "type", "run", "name", "command"]);
    assert.deepEqual([jobs[11].v, jobs[11].run, jobs[11].name], [2, 12, "grid-12-dim=16-lr=0.01-prompt=a_b"]);
    assert.deepEqual(jobs[11].command.slice(0, 5), [
      "deno",
      "task",
      "train",
      "grid.yaml",
      'sample.prompt=[The , "a\'b"]',
    ]);
    const lone = await succeeds("train", ["tiny.yaml", "seed=3", "--device", "cpu", "--jobs"], folder);
    assert.deepEqual(JSON.parse(lone.stdout), {
      v: 2,
      type: "job",
      run: 1,
      name: "tiny",
      command: ["deno", "task", "train", "tiny.yaml", "seed=3", "device=cpu"],
    });
    assert.deepEqual(tree(folder), before);
  }));
