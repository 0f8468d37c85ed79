// Finding runs: in the folder of their name, and those of sweeps one folder deeper.
import assert from "node:assert/strict";
import { findRuns } from "../../src/runs/find_runs.ts";
import { UserError } from "../../src/base/errors.ts";

/** Folders of runs with the files that a search reads. */
async function withRuns(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "heed-find-" });
  try {
    const runs: [string, string][] = [
      ["small/20250102-030405-a", "seed: 1\noptimizer: { betas: [0.9, 0.95] }\n"],
      ["grid-sweep-1f/grid-01-lr=0.001/20250102-030406-b", "seed: 2\noptimizer: { lr: 0.001 }\n"],
      ["grid-sweep-1f/grid-02-lr=0.01/20250102-030407-c", "seed: 2\nhooks: { share: 0.5 }\n"],
      ["too/deep/to/be-a-run/20250102-030408-d", "seed: 3\n"],
    ];
    for (const [path, config] of runs) {
      await Deno.mkdir(`${dir}/${path}/checkpoints/4`, { recursive: true });
      await Deno.writeTextFile(`${dir}/${path}/config.yaml`, config);
      await Deno.writeTextFile(
        `${dir}/${path}/checkpoints/4/state.json`,
        '{"best":{"step":2,"val_loss":2.5}}',
      );
    }
    await Deno.writeTextFile(`${dir}/latest`, "small/20250102-030405-a\n");
    await Deno.writeTextFile(`${dir}/grid-sweep-1f/index.json`, "{}");
    await Deno.symlink("grid-02-lr=0.01/20250102-030407-c", `${dir}/grid-sweep-1f/latest`);
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("findRuns() finds the runs of sweeps too, each once, by their names", () =>
  withRuns(async (dir) => {
    const runs = await findRuns(dir);
    assert.deepEqual(
      runs.map(({ name, path, time, step, val_loss }) => [name, path, time, step, val_loss]),
      [
        ["small", `${dir}/small/20250102-030405-a`, "2025-01-02T03:04:05Z", 4, 2.5],
        [
          "grid-01-lr=0.001",
          `${dir}/grid-sweep-1f/grid-01-lr=0.001/20250102-030406-b`,
          "2025-01-02T03:04:06Z",
          4,
          2.5,
        ],
        [
          "grid-02-lr=0.01",
          `${dir}/grid-sweep-1f/grid-02-lr=0.01/20250102-030407-c`,
          "2025-01-02T03:04:07Z",
          4,
          2.5,
        ],
      ],
    );
    assert.deepEqual((await findRuns(dir, { name: "grid-*" })).length, 2);
    assert.deepEqual((await findRuns(`${dir}/grid-sweep-1f`)).length, 2);
  }));

Deno.test("findRuns() compares numbers, lists, sections and the keys of hooks as values", () =>
  withRuns(async (dir) => {
    const names = async (...where: string[]) => (await findRuns(dir, { where })).map(({ name }) => name);
    assert.deepEqual(await names("optimizer.lr=1e-3"), ["grid-01-lr=0.001"]);
    assert.deepEqual(await names("optimizer.betas=[0.9, 0.95]", "seed=1"), ["small"]);
    assert.deepEqual(await names("optimizer.betas.1=0.95"), ["small"]);
    assert.deepEqual(await names("+share=0.5"), ["grid-02-lr=0.01"]);
    assert.deepEqual(await names("seed=2", "optimizer.betas=[0.9, 0.95]"), []);
  }));

Deno.test("findRuns() rejects an invalid query with one line", () =>
  withRuns(async (dir) => {
    const faults: [string, string][] = [
      [
        "optimizer.bets=1",
        'optimizer.bets=1: no run has the key optimizer.bets. Did you mean "optimizer.betas.0"?',
      ],
      [
        "quite_another=1",
        "quite_another=1: no run has the key quite_another. Sections: seed, optimizer, hooks.",
      ],
      ["~seed", "~seed: expected key=value such as model.dim=64."],
    ];
    for (const [text, message] of faults) {
      await assert.rejects(findRuns(dir, { where: [text] }), new UserError(message));
    }
    const file = `${dir}/latest`;
    await assert.rejects(
      findRuns(file),
      new UserError(`${file}: expected the folder of all runs, found a file.`),
    );
  }));

Deno.test("findRuns() of a name or glob that matches no run gives one line with the closest name", () =>
  withRuns(async (dir) => {
    const faults: [string, string][] = [
      ["smal", 'smal: no run has this name. Did you mean "small"?'],
      ["x*", `x*: no run has this name. In ${dir}: grid-01-lr=0.001, grid-02-lr=0.01, small.`],
    ];
    for (const [name, message] of faults) {
      await assert.rejects(findRuns(dir, { name }), new UserError(message));
    }
    assert.deepEqual(await findRuns(dir, { name: "small", since: "2026-01-01" }), []);
  }));

Deno.test("a dangling link, an invalid configuration and a missing one are runs with a fault", () =>
  withRuns(async (dir) => {
    const before = (await findRuns(dir)).length;
    await Deno.symlink("nowhere", `${dir}/gone`);
    await Deno.symlink("nowhere", `${dir}/small/20250102-030408-d`);
    for (
      const [id, config] of [["e", "seed: [1\n"], ["f", new Uint8Array([0xff])], ["0", undefined]] as const
    ) {
      const path = `${dir}/small/20250102-030409-${id}`;
      await Deno.mkdir(`${path}/checkpoints`, { recursive: true });
      if (typeof config === "string") await Deno.writeTextFile(`${path}/config.yaml`, config);
      else if (config) await Deno.writeFile(`${path}/config.yaml`, config);
    }
    const runs = await findRuns(dir);
    const faults = runs.filter(({ fault }) => fault !== null).map((
      { path, fault },
    ) => [path.slice(dir.length + 1), fault]);
    const start = (text: string) => (fault: unknown) =>
      assert.ok(String(fault).startsWith(`${dir}/${text}`), `${fault}`);
    assert.equal(runs.length, before + 5);
    assert.deepEqual(faults.map(([path]) => path), [
      "gone",
      "small/20250102-030408-d",
      "small/20250102-030409-0",
      "small/20250102-030409-e",
      "small/20250102-030409-f",
    ]);
    start("gone: No such file")(faults[0][1]);
    start("small/20250102-030409-0/config.yaml: No such file")(faults[2][1]);
    start("small/20250102-030409-e/config.yaml:")(faults[3][1]);
    start("small/20250102-030409-f/config.yaml:")(faults[4][1]);
    // An unreadable configuration has no keys to compare.
    assert.equal((await findRuns(dir, { where: ["seed=1"] })).filter(({ fault }) => fault).length, 0);
  }));

Deno.test("findRuns() accepts a prefix of a run's time or id as name", () =>
  withRuns(async (dir) => {
    const [first] = await findRuns(dir);
    const folder = first.path.split("/").at(-1)!;
    const runs = await findRuns(dir, { name: folder.slice(0, 15) });
    assert.deepEqual(runs.map(({ path }) => path), [first.path]);
  }));
