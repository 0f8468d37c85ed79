// The folder of a run: creation, pointers, lookup, and atomic writes.

import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../src/base/errors.ts";
import { pointLatest } from "../../src/runs/latest.ts";
import { resolveRun } from "../../src/runs/resolve_run.ts";
import {
  createRunFolder,
  pointTo,
  removeCheckpoint,
  type RunFolder,
  runFolder,
  writeCheckpoint,
  writeFileAtomic,
} from "../../src/runs/run_folder.ts";

const NOW = new Date("2025-01-02T03:04:05.678Z");

async function inTemporaryFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-runs-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
}

function isUserError(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UserError, `${error}`);
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  };
}

/** The pointer that a system without symbolic links writes. */
function asText(link: string): void {
  const target = Deno.readLinkSync(link);
  Deno.removeSync(link);
  Deno.writeTextFileSync(link, target + "\n");
}

async function runWithCheckpoints(dir: string, name: string, id: string, now = NOW): Promise<RunFolder> {
  const run = await createRunFolder(dir, name, now, id);
  for (const step of [9, 10]) await writeCheckpoint(run, step, { "state.json": "{}" });
  await pointTo(run, "best", 9);
  await pointTo(run, "last", 10);
  await pointLatest(run);
  return run;
}

Deno.test("createRunFolder() creates <name>/<time>-<id> with its folders", () =>
  inTemporaryFolder(async (folder) => {
    const run = await createRunFolder(`${folder}/runs`, "small", NOW, "1f");
    assert.deepEqual(run, runFolder(join(folder, "runs/small/20250102-030405-1f")));
    assert.equal(run.name, "small");
    assert.deepEqual(names(run.path), ["charts", "checkpoints"]);
    await createRunFolder(`${folder}/runs`, "lr=0.1,dim=8", NOW, "2a");
    assert.deepEqual(names(`${folder}/runs`), ["lr=0.1,dim=8", "small"]);
    await assert.rejects(
      createRunFolder(`${folder}/runs`, "small", NOW, "1f"),
      isUserError(/1f: File exists/),
    );
  }));

Deno.test("createRunFolder() refuses names that cannot be folders or are reserved", () =>
  inTemporaryFolder(async (folder) => {
    for (const name of ["", ".", "..", ".hidden", "a/b", "a\\b", "latest", "best", "a\nb"]) {
      await assert.rejects(
        createRunFolder(folder, name, NOW, "1f"),
        isUserError(/cannot be the name of a folder/),
      );
    }
    assert.deepEqual(names(folder), []);
  }));

Deno.test("writeFileAtomic() replaces a file, and on failure leaves the old one and no temporary file", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/a.txt`;
    await writeFileAtomic(path, "é");
    await writeFileAtomic(path, Uint8Array.from([104, 105]));
    assert.equal(Deno.readTextFileSync(path), "hi");
    await assert.rejects(
      writeFileAtomic(`${path}/b.txt`, "x"),
      isUserError(/a\.txt\/b\.txt: Not a directory\.$/),
    );
    await assert.rejects(writeFileAtomic(`${folder}/no/b.txt`, "x"), isUserError(/no\/b\.txt: No such file/));
    Deno.mkdirSync(`${folder}/taken/by`, { recursive: true });
    // The write succeeds and the rename fails: the temporary file must be removed.
    await assert.rejects(writeFileAtomic(`${folder}/taken`, "x"), isUserError(/taken: Is a directory\.$/));
    assert.deepEqual(names(folder), ["a.txt", "taken"]);
  }));

Deno.test("writeCheckpoint() writes a complete checkpoint, replaces one of the same step and removes unfinished files", () =>
  inTemporaryFolder(async (folder) => {
    const run = await createRunFolder(folder, "small", NOW, "1f");
    Deno.mkdirSync(join(run.checkpoints, ".7.tmp"));
    Deno.writeTextFileSync(join(run.checkpoints, ".7.tmp/half"), "x");
    const path = await writeCheckpoint(run, 10, {
      "model.safetensors": new Uint8Array(3),
      "state.json": "{}",
    });
    assert.equal(path, join(run.checkpoints, "10"));
    assert.deepEqual(names(path), ["model.safetensors", "state.json"]);
    await writeCheckpoint(run, 10, { "state.json": "[]" });
    assert.deepEqual(names(path), ["state.json"]);
    assert.equal(Deno.readTextFileSync(join(path, "state.json")), "[]");
    assert.deepEqual(names(run.checkpoints), ["10"]);
  }));

Deno.test("writeCheckpoint() that fails half way leaves the old checkpoint", () =>
  inTemporaryFolder(async (folder) => {
    const run = await createRunFolder(folder, "small", NOW, "1f");
    await writeCheckpoint(run, 10, { "state.json": "{}" });
    const files = { "state.json": "new", "no/such/folder": "x" };
    await assert.rejects(
      writeCheckpoint(run, 10, files),
      isUserError(/checkpoints\/10: No such file or directory\.$/),
    );
    assert.deepEqual(names(run.checkpoints), ["10"]);
    assert.equal(Deno.readTextFileSync(join(run.checkpoints, "10/state.json")), "{}");
  }));

Deno.test("best and last move from checkpoint to checkpoint, and their targets are not removed", () =>
  inTemporaryFolder(async (folder) => {
    const run = await runWithCheckpoints(folder, "small", "1f");
    assert.equal(Deno.readLinkSync(join(run.checkpoints, "best")), "9");
    await pointTo(run, "best", 10);
    assert.equal(Deno.readLinkSync(join(run.checkpoints, "best")), "10");
    await assert.rejects(removeCheckpoint(run, 10), /"best" points at step 10/);
    await removeCheckpoint(run, 9);
    await removeCheckpoint(run, 8);
    assert.deepEqual(names(run.checkpoints), ["10", "best", "last"]);
    await assert.rejects(pointTo(run, "last", 9), /no checkpoint of step 9/);
  }));

for (const kind of ["links", "text files"]) {
  Deno.test(`resolveRun() finds runs and checkpoints by path, by name and through ${kind}`, () =>
    inTemporaryFolder(async (folder) => {
      const runs = join(folder, "runs");
      const old = await runWithCheckpoints(runs, "small", "1f", new Date(NOW.getTime() - 1e6));
      const run = await runWithCheckpoints(runs, "small", "1e");
      if (kind === "text files") {
        for (const link of ["latest", "small/20250102-030405-1e/checkpoints/best"]) asText(join(runs, link));
        asText(join(run.checkpoints, "last"));
      }
      const nine = { run, checkpoint: join(run.checkpoints, "9") };
      const ten = { run, checkpoint: join(run.checkpoints, "10") };
      for (const path of [run.path, run.path + "/", `${runs}/latest`, "latest", "small", `${runs}/small`]) {
        assert.deepEqual(await resolveRun(path, runs), ten, path);
      }
      for (
        const path of [`${run.checkpoints}/9`, `${runs}/latest/checkpoints/best`, "latest/checkpoints/best"]
      ) {
        assert.deepEqual(await resolveRun(path, runs), nine, path);
      }
      assert.deepEqual((await resolveRun("small/20250102-024725-1f", runs)).run, old);
    }));
}

Deno.test("resolveRun() handles a run without checkpoints, one without last, and a checkpoint outside a run", () =>
  inTemporaryFolder(async (folder) => {
    const run = await createRunFolder(folder, "small", NOW, "1f");
    assert.deepEqual(await resolveRun(run.path), { run, checkpoint: null });
    for (const step of [9, 10]) await writeCheckpoint(run, step, { "state.json": "{}" });
    assert.equal((await resolveRun(run.path)).checkpoint, join(run.checkpoints, "10"));
    await Deno.rename(join(run.checkpoints, "9"), `${folder}/copied`);
    assert.deepEqual(await resolveRun(`${folder}/copied`), { run: null, checkpoint: `${folder}/copied` });
  }));

Deno.test("resolveRun() names what is missing and the closest that exists", () =>
  inTemporaryFolder(async (folder) => {
    const runs = join(folder, "runs");
    await assert.rejects(
      resolveRun("small", runs),
      isUserError(/^small: not found, .* There are no runs in .*runs yet/),
    );
    const run = await runWithCheckpoints(runs, "small", "1f");
    await assert.rejects(
      resolveRun("smal", runs),
      isUserError(/^smal: not found, .* Did you mean "small"\?$/),
    );
    await assert.rejects(resolveRun("zzzzzzzzzz", runs), isUserError(/In .*runs: latest, small\.$/));
    await assert.rejects(resolveRun(`${runs}/smoll`, runs), isUserError(/Did you mean ".*\/runs\/small"\?$/));
    await assert.rejects(
      resolveRun(`${run.path}/checkpoint/9`, runs),
      isUserError(/mean ".*-1f\/checkpoints"\?$/),
    );
    await assert.rejects(
      resolveRun(`${run.path}/charts`, runs),
      isUserError(/charts: is neither a run nor a/),
    );
    await Deno.remove(run.path, { recursive: true });
    await assert.rejects(
      resolveRun(`${runs}/latest`, runs),
      isUserError(/points at .*-1f, which does not exist/),
    );
  }));

Deno.test("a run's folder needs only read and write permission for itself, with text files as pointers", () =>
  inTemporaryFolder(async (folder) => {
    const url = (path: string) => JSON.stringify(new URL(`../../src/runs/${path}`, import.meta.url).href);
    const program = `import * as f from ${url("run_folder.ts")};
      import * as l from ${url("latest.ts")};
      import { resolveRun } from ${url("resolve_run.ts")};
      const run = await f.createRunFolder("runs", "small", new Date(0), "1f");
      await f.writeCheckpoint(run, 1, { "state.json": "{}" });
      await f.pointTo(run, "last", 1);
      await l.pointLatest(run);
      console.log((await resolveRun("runs/latest")).checkpoint);`;
    await Deno.writeTextFile(`${folder}/program.ts`, program);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "--no-prompt", "--allow-read=.", "--allow-write=runs", "program.ts"],
      cwd: folder,
    }).output();
    const output = new TextDecoder().decode(stdout).trim();
    assert.equal(
      output,
      join("runs/small/19700101-000000-1f/checkpoints/1"),
      new TextDecoder().decode(stderr),
    );
    assert.equal(Deno.readTextFileSync(`${folder}/runs/latest`), "small/19700101-000000-1f\n");
  }));

Deno.test({
  name:
    "where a file cannot grow, checkpoint, file and log keep what they held and leave nothing half-written",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inTemporaryFolder(async (folder) => {
      const url = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
      const program = `import * as f from ${url("runs/run_folder.ts")};
        import { openLog } from ${url("log/log_file.ts")};
        const run = await f.createRunFolder("runs", "small", new Date(0), "1f");
        await f.writeCheckpoint(run, 1, { "state.json": "old" });
        await f.writeFileAtomic("file", "old");
        const big = new Uint8Array(1e6);
        const log = openLog("log.ndjson");
        const say = (error) => console.log(error.name + " " + error.message);
        await f.writeCheckpoint(run, 1, { "model.safetensors": big, "state.json": "new" }).catch(say);
        await f.writeFileAtomic("file", big).catch(say);
        for (const message of ["short", "x".repeat(1e6)]) {
          try { log.write({ type: "warning", step: 1, code: "c", message, tap: null }); } catch (error) { say(error); }
        }`;
      await Deno.writeTextFile(`${folder}/program.ts`, program);
      // A limit on file size simulates a full disk: the write that crosses it is truncated, the next one fails.
      const limited = `trap "" XFSZ; ulimit -f 64; "${Deno.execPath()}" run -A --no-config program.ts`;
      const { stdout } = await new Deno.Command("sh", { args: ["-c", limited], cwd: folder }).output();
      assert.deepEqual(new TextDecoder().decode(stdout).trim().split("\n"), [
        "UserError runs/small/19700101-000000-1f/checkpoints/1: File too large.",
        "UserError file: File too large.",
        "UserError log.ndjson: File too large.",
      ]);
      const { checkpoints } = runFolder(`${folder}/runs/small/19700101-000000-1f`);
      assert.deepEqual(names(checkpoints), ["1"]);
      assert.deepEqual(names(join(checkpoints, "1")), ["state.json"]);
      assert.equal(Deno.readTextFileSync(join(checkpoints, "1/state.json")), "old");
      assert.equal(Deno.readTextFileSync(`${folder}/file`), "old");
      assert.match(Deno.readTextFileSync(`${folder}/log.ndjson`), /^.*"message":"short".*\n$/);
      assert.deepEqual(names(folder), ["file", "log.ndjson", "program.ts", "runs"]);
    }),
});
