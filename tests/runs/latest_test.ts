// runs/latest and prefixes of a run's time or id: which run they name, after deletions and with concurrent runs.
import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../src/base/errors.ts";
import { pointLatest } from "../../src/runs/latest.ts";
import { resolveRun } from "../../src/runs/resolve_run.ts";
import { createRunFolder, pointTo, type RunFolder, writeCheckpoint } from "../../src/runs/run_folder.ts";

/** The folder of a run that started at a given minute, with or without a checkpoint. */
async function run(dir: string, name: string, minute: number, id: string, saved = true): Promise<RunFolder> {
  const run = await createRunFolder(dir, name, new Date(Date.UTC(2025, 0, 2, 3, minute)), id);
  if (saved) await save(run);
  return run;
}

async function save(run: RunFolder): Promise<void> {
  await writeCheckpoint(run, 5, { "state.json": "{}" });
  await pointTo(run, "last", 5);
  await pointLatest(run);
}

async function inRuns(body: (dir: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-latest-" });
  try {
    await body(join(folder, "runs"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const latest = async (dir: string) => (await resolveRun(`${dir}/latest`, dir)).run?.path;
const pointer = (dir: string) => Deno.readLinkSync(`${dir}/latest`);

Deno.test("runs/latest is the newest run with a checkpoint, and changes when a newer run saves its first", () =>
  inRuns(async (dir) => {
    const saved = await run(dir, "small", 1, "aa");
    const young = await run(dir, "small", 2, "bb", false);
    assert.equal(pointer(dir), "small/20250102-030100-aa");
    assert.equal(await latest(dir), saved.path);
    await save(young);
    assert.equal(pointer(dir), "small/20250102-030200-bb");
    assert.equal(await latest(dir), young.path);
    // The older one continues.
    await save(saved);
    assert.equal(await latest(dir), young.path);
  }));

Deno.test("runs/latest is another run if its target was deleted or lost its checkpoints", () =>
  inRuns(async (dir) => {
    const [first, second, third] = await Promise.all([
      run(dir, "small", 1, "aa"),
      run(dir, "other", 2, "bb"),
      run(dir, "small", 3, "cc"),
    ]);
    assert.equal(pointer(dir), "small/20250102-030300-cc", "three at once");
    await Deno.remove(third.path, { recursive: true });
    assert.equal(await latest(dir), second.path);
    await Deno.remove(`${second.checkpoints}/5`, { recursive: true });
    assert.equal(await latest(dir), first.path);
    await Deno.remove(`${dir}/latest`);
    assert.equal(await latest(dir), first.path);
    await Deno.remove(first.path, { recursive: true });
    await assert.rejects(
      latest(dir),
      new UserError(
        `${dir}/latest: no run in ${dir} has a checkpoint yet. The newest run is ${second.path}.`,
      ),
    );
  }));

Deno.test("runs/latest is the sweep with the newest run, and resolves to that run", () =>
  inRuns(async (dir) => {
    const alone = await run(dir, "small", 1, "aa");
    const sweep = `${dir}/grid-sweep-01234567`;
    await run(sweep, "grid-01", 2, "bb");
    const newest = await run(sweep, "grid-02", 3, "cc");
    await run(sweep, "grid-03", 4, "dd", false);
    assert.equal(pointer(dir), "grid-sweep-01234567");
    assert.equal(pointer(sweep), "grid-02/20250102-030300-cc");
    assert.equal(await latest(dir), newest.path);
    const best = await resolveRun(`${dir}/latest/checkpoints/last`, dir);
    assert.equal(best.checkpoint, `${newest.checkpoints}/5`);
    // Without symbolic links, the pointer is a text file.
    for (const at of [dir, sweep]) {
      const target = pointer(at);
      await Deno.remove(`${at}/latest`);
      await Deno.writeTextFile(`${at}/latest`, `${target}\n`);
    }
    assert.equal(await latest(dir), newest.path);
    await Deno.remove(sweep, { recursive: true });
    assert.equal(await latest(dir), alone.path);
  }));

Deno.test("a run is found by a prefix of its time or id, also in sweeps; an ambiguous prefix gives one line with the runs", () =>
  inRuns(async (dir) => {
    const first = await run(dir, "small", 1, "965dd54b");
    const second = await run(dir, "other", 2, "96aa0011");
    const swept = await run(`${dir}/grid-sweep-01234567`, "grid-01", 3, "0ee1c4fb");
    const pathOf = async (text: string) => (await resolveRun(text, dir)).run?.path;
    for (const text of ["20250102-0301", "20250102-030100-965dd54b", "965dd54b", "965d"]) {
      assert.equal(await pathOf(text), first.path, text);
    }
    assert.equal(await pathOf("0ee1"), swept.path);
    assert.equal((await resolveRun("96aa/checkpoints/5", dir)).checkpoint, `${second.checkpoints}/5`);
    await assert.rejects(
      pathOf("20250102-03"),
      new UserError(
        `20250102-03: 3 runs begin with 20250102-03, expected one: ` +
          `${[swept, second, first].map(({ path }) => path).join(", ")}.`,
      ),
    );
    await assert.rejects(pathOf("20250103"), /^UserError: 20250103: not found/);
  }));
