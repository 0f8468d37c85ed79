// Single files: each script as one bundle, in an empty folder, without a network, with no more than its own permissions.
// A binary of `compile` is such a file and a runtime; if a runtime to build on is available, it is run too.
import assert from "node:assert/strict";
import { type Ended, ended, inFolder, latest, ROOT, script, SCRIPTS, taskArguments } from "./harness.ts";

type Script = (typeof SCRIPTS)[number];

async function deno(args: string[], cwd: string, env: Record<string, string> = {}): Promise<Ended> {
  const inherited = ["DENO_WEBGPU_BACKEND", "XDG_RUNTIME_DIR"].flatMap((key) => {
    const value = Deno.env.get(key);
    return value === undefined ? [] : [[key, value]];
  });
  return await ended(
    new Deno.Command(Deno.execPath(), {
      args,
      cwd,
      env: { NO_COLOR: "1", ...Object.fromEntries(inherited), ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
}

/** The permission flags of a task's command, except for the network. */
function permissions(name: Script): string[] {
  return taskArguments(name).filter((arg) => arg.startsWith("--allow-") && !arg.startsWith("--allow-net"));
}

Deno.test("every script is one file that trains, analyses and verifies from an empty folder with its own permissions", () =>
  inFolder(async (bundles) => {
    for (const name of SCRIPTS.filter((name) => name !== "compile")) {
      const file = `${bundles}/${name}.js`;
      const source = new URL(`scripts/${name}.ts`, ROOT).pathname;
      const { code, stderr } = await deno(["bundle", "--quiet", "-o", file, source], ROOT.pathname);
      assert.equal(code, 0, stderr);
      // A script that can load a user's file hands heed's exports down for it.
      const loads = Deno.readTextFileSync(file).includes("function exportsOf(");
      assert.equal(/^\}, heed\);$/m.test(Deno.readTextFileSync(source)), loads, name);
    }
    await inFolder(async (folder) => {
      for (const { name } of Deno.readDirSync(folder)) {
        await Deno.remove(`${folder}/${name}`, { recursive: true });
      }
      const alone = ["run", "--no-prompt", "--no-config", "--no-npm", "--no-remote"];
      const run = async (name: Script, ...args: string[]) => {
        const result = await deno([...alone, ...permissions(name), `${bundles}/${name}.js`, ...args], folder);
        assert.equal(result.code, 0, `${name} ${args.join(" ")}: ${result.stderr}`);
        return result.stdout;
      };
      const small = [
        "model.positions=learned",
        "model.tied=true",
        "train.steps=6",
        "eval.batches=1",
        "model.dim=16",
        "model.layers=1",
        "sample.tokens=4",
      ];
      // Worker threads start without permission to read the bundle.
      const inside = ["--allow-read=.", "--allow-write=.", `${bundles}/train.js`, "copy", ...small];
      const { code, stderr } = await deno([...alone, ...inside, "--device=cpu", "--threads=2"], folder);
      assert.equal(code, 0, stderr);
      assert.match(Deno.readTextFileSync(`${latest(folder)}/log.ndjson`), /"threads":2/);
      await run("train", "copy", ...small, "track=everything", "device=cpu");
      assert.match(await run("verify_load", "runs/latest"), /: verified\n$/);
      assert.ok(
        (await run("generate", "--prompt", "abc", "--tokens", "4", "--temperature", "0")).startsWith("abc"),
      );
      assert.match(
        await run("analyze_softmax_jacobian", "runs/latest", "--batches", "1"),
        /jacobian\.ndjson/,
      );
      await run(
        "analyze_softmax_jacobian",
        ...small,
        "data.source=copy",
        "model.context=128",
        "--batches",
        "1",
        "--device",
        "cpu",
      );
      await run("stats", "runs/latest");
      await run("plot", "runs/latest");
      await run("report", latest(folder));
      assert.match(await run("check_attention", "--device", "cpu", "--cases", "3"), /3/);
      await run("export_model", "--out", "exported");
      await run("import_model", "exported", "--out", "again");
      assert.match(await run("verify_load", "again", "--device", "cpu"), /: verified\n$/);
      // The kernels are inside as well.
      await run("train", "copy", ...small, "device=webgpu");
    });
  }));

Deno.test("compile builds a standalone binary, or reports in one line that its base is missing", () =>
  inFolder(async (folder) => {
    // Nothing is downloaded for a test.
    const env = { HTTPS_PROXY: "http://127.0.0.1:9", HTTP_PROXY: "http://127.0.0.1:9" };
    const result = await script("compile", ["train", "verify_load"], folder, { env });
    if (result.code !== 0) {
      assert.equal(result.code, 2);
      assert.match(
        result.stderr,
        /^compile: deno compile needs its base binary \(denort [\d.]+\) and cannot download it; .*\n$/,
      );
      assert.equal(result.stdout, "");
      return;
    }
    assert.equal(result.stdout, "dist/heed-train\ndist/heed-verify-load\n");
    const run = async (name: string, ...args: string[]) =>
      await ended(
        new Deno.Command(`${folder}/dist/heed-${name}`, {
          args,
          cwd: folder,
          stdout: "piped",
          stderr: "piped",
        })
          .spawn(),
      );
    const trained = await run(
      "train",
      "copy",
      "train.steps=4",
      "eval.batches=1",
      "device=cpu",
      "sample.tokens=0",
    );
    assert.equal(trained.code, 0, trained.stderr);
    // A user's file that imports heed, by name.
    await Deno.writeTextFile(
      `${folder}/mine.ts`,
      'import { scale } from "heed";\nexport const taps = { embed: (x) => scale(x, 3) };\n',
    );
    const hooked = await run("train", "tiny.yaml", "train.steps=1", "sample.tokens=0", "--hooks", "mine.ts");
    assert.equal(hooked.code, 0, hooked.stderr);
    const verified = await run("verify-load", "runs/latest");
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  }));

Deno.test("compile on a full deno instead of its runtime is an error, because the binary prints deno's help", () =>
  inFolder(async (folder) => {
    const { code, stdout, stderr } = await script("compile", ["stats"], folder, {
      env: { DENORT_BIN: Deno.execPath() },
    });
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(
      stderr,
      /^compile: dist\/heed-stats: --help printed "A modern JavaScript[^\n]*expected the help of heed's stats; if DENORT_BIN [^\n]*\n$/,
    );
  }));

Deno.test("compile takes every script with its permissions, and names unknown scripts", () =>
  inFolder(async (folder) => {
    // Deno itself in the place of its runtime: the file is built as it would be, though it does not run the script.
    const env = { DENORT_BIN: Deno.execPath() };
    const other = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"].find((name) =>
      name !== Deno.build.target
    )!;
    const args = ["import_model", "stats", "--target", other, "--progress", "none"];
    const built = await script("compile", args, folder, { env });
    assert.deepEqual(
      [built.code, built.stdout, built.stderr],
      [
        0,
        "dist/heed-import-model\ndist/heed-stats\n",
        `compile: built for ${other}; not tested on this ${Deno.build.target}.\n`,
      ],
    );
    assert.ok(Deno.statSync(`${folder}/dist/heed-stats`).size > 1e7);
    const refuses = async (args: string[], pattern: RegExp) => {
      const { code, stderr } = await script("compile", args, folder);
      assert.equal(code, 2);
      assert.match(stderr, pattern);
    };
    await refuses(["trian"], /^compile: trian: no script has this name\. Did you mean "train"\?\n$/);
    await refuses(["--target", "aarch64-apple-drawin"], /Did you mean "aarch64-apple-darwin"\?\n$/);
  }));
