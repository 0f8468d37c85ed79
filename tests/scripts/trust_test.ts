// Code that a checkpoint names runs only if the user has trusted it by its hash: in every task that loads checkpoints, for
// every way a file can change, and with the file that records trusted hashes.
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import {
  checkpoint,
  DATA_HOME,
  inFolder,
  latest,
  logOf,
  reseal,
  ROOT,
  script,
  start,
  succeeds,
  until,
} from "./harness.ts";

const HOOKS = "export const freeze = () => [];\n";
/** The same, but running it leaves a file. */
const ATTACK = `${HOOKS}try { Deno.writeTextFileSync("ran", ""); } catch { Deno.exit(99); }\n`;
const TRUSTED = join(DATA_HOME, "heed", "trusted.json");

const hashOf = async (text: string): Promise<string> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))).toHex();

/** Trains tiny.yaml with a hooks file; the path of the checkpoint. The text makes its hash one of this test alone. */
async function trained(folder: string, more: string[] = [], hooks = HOOKS): Promise<string> {
  await Deno.writeTextFile(`${folder}/hooks.ts`, hooks);
  await succeeds("train", ["tiny.yaml", "sample.tokens=0", "--hooks", "hooks.ts", ...more], folder);
  return checkpoint(latest(folder));
}

/** Asserts that a script ends with one line on stderr that matches. */
async function refused(ended: Promise<{ code: number; stdout: string; stderr: string }>, line: RegExp) {
  const { code, stdout, stderr } = await ended;
  assert.match(stderr, line);
  assert.deepEqual([code, stdout, stderr.trim().split("\n").length], [2, "", 1], stderr);
}

Deno.test("no task runs code that a copied checkpoint names: each reports in one line the file, its hash and the remedy", () =>
  inFolder(async (folder) => {
    const run = await trained(folder, ["train.steps=3", "output.checkpoint_every=1"]);
    cpSync(run, `${folder}/copy`, { recursive: true });
    await Deno.mkdir(`${folder}/evil`);
    await Deno.writeTextFile(`${folder}/evil/hooks.ts`, ATTACK);
    const rename = async (path: string, to: string) => {
      const text = await Deno.readTextFile(`${path}/config.yaml`);
      await Deno.writeTextFile(`${path}/config.yaml`, text.replace("hooks.ts", to));
      await reseal(path);
    };
    await rename(`${folder}/copy`, "evil/hooks.ts");
    const [one, two] = [["--text", "The"], ["--clean", "The", "--corrupted", "And"]];
    const tasks: [Parameters<typeof script>[0], string[]][] = [
      ["generate", ["copy"]],
      ["perplexity", ["copy", "--file", "text.txt"]],
      ["next_token", ["copy", ...one]],
      ["attention_maps", ["copy", ...one]],
      ["embeddings", ["copy", ...one, "--out", "e.safetensors"]],
      ["logit_lens", ["copy", ...one]],
      ["attribution", ["copy", ...one]],
      ["ablate", ["copy"]],
      ["patch", ["copy", ...two]],
      ["export_model", ["copy", "--out", "exported"]],
      ["analyze_softmax_jacobian", ["./copy"]],
      ["train", ["--from", "copy"]],
      ["train", ["tiny.yaml", "--from", "copy"]],
    ];
    const hash = await hashOf(ATTACK);
    const line = new RegExp(
      `copy: its code evil/hooks\\.ts \\(SHA-256 ${hash}\\) is not trusted; read it, then: ` +
        `deno task train --trust evil/hooks\\.ts\\n$`,
    );
    await Promise.all(tasks.map(([task, args]) => refused(script(task, args, folder), line)));
    await rename(run, "evil/hooks.ts");
    await refused(
      script("train", ["--resume", "runs/latest"], folder),
      /its code evil\/hooks\.ts .* is not trusted/,
    );
    const { code, stdout } = await script("verify_load", ["copy"], folder);
    assert.match(stdout, /\n.* code evil\/hooks\.ts: not run; /);
    assert.equal(code, 0, stdout);
    assert.equal(await Deno.stat(`${folder}/ran`).catch(() => undefined), undefined);
  }));

Deno.test("code that train is given by name is sealed, trusted outside the folder, and runs in later tasks", () =>
  inFolder(async (folder) => {
    const hooks = `${HOOKS}// remembered\n`;
    const path = await trained(folder, [], hooks);
    const sha256 = await hashOf(hooks);
    const { code } = JSON.parse(await Deno.readTextFile(`${path}/state.json`));
    assert.deepEqual(code, [{ file: "hooks.ts", sha256 }]);
    const { v, trusted } = JSON.parse(await Deno.readTextFile(TRUSTED));
    assert.deepEqual([v, trusted[sha256]], [1, {
      file: Deno.realPathSync(`${folder}/hooks.ts`),
      by: "named",
    }]);
    await succeeds("generate", ["tiny", "--tokens", "3"], folder);
    const verified = await succeeds("verify_load", ["tiny"], folder);
    assert.match(verified.stdout, /\nok {3}code hooks\.ts: not run; SHA-256 [0-9a-f]{16}\n/);
    assert.match(verified.stdout, /\n-- {3}logits on fixed input: not checked: /);
    assert.match(verified.stdout, /: verified, except 4 checks that need its code, which was not run\n$/);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["hooks.ts", "runs", "text.txt", "tiny.yaml"]);
  }));

Deno.test("code that has changed or is missing is refused; --trust lets it run as it is, and only train writes", () =>
  inFolder(async (folder) => {
    const hooks = `import "./part.ts";\n${HOOKS}`;
    await Deno.writeTextFile(`${folder}/part.ts`, "export const first = 1;\n");
    const path = await trained(folder, [], hooks);
    const [{ sha256: before }] = JSON.parse(await Deno.readTextFile(`${path}/state.json`)).code;
    const remembered = await Deno.readTextFile(TRUSTED);
    const generate = () => script("generate", ["tiny", "--tokens", "3"], folder);
    const imports = ["npm:zod@4.6.7", "jsr:@std/cli", "https://example.com/x.ts"];
    await Deno.writeTextFile(
      `${folder}/part.ts`,
      imports.map((name) => `export const load = () => import("${name}");\n`)[0] +
        imports.slice(1).map((name, i) => `export const load${i} = () => import("${name}");\n`).join(""),
    );
    const changed =
      `its code hooks\\.ts has changed: SHA-256 [0-9a-f]{64}, the checkpoint was made with ${before}; ` +
      `it imports https://example\\.com/x\\.ts, jsr:@std/cli, npm:zod@4\\.6\\.7; put that version back, or read it`;
    await refused(generate(), new RegExp(changed));
    await refused(script("train", ["--resume", "tiny"], folder), new RegExp(changed));
    const verified = await script("verify_load", ["tiny"], folder);
    assert.equal(verified.code, 1);
    assert.match(verified.stdout, /\nFAIL code hooks\.ts: not run; SHA-256 is .*, state\.json says /);
    assert.equal(await Deno.readTextFile(TRUSTED), remembered);
    const said = await succeeds("train", ["--trust", "hooks.ts"], folder);
    assert.match(
      said.stderr,
      /^trusted: hooks\.ts, SHA-256 [0-9a-f]{64}; it imports https:.*, jsr:@std\/cli, npm:zod@4\.6\.7\n$/,
    );
    assert.equal((await generate()).code, 0);
    await Deno.remove(`${folder}/hooks.ts`);
    await refused(generate(), new RegExp(`its code hooks\\.ts \\(SHA-256 ${before}\\) is missing; `));
  }));

Deno.test("a changed file that another training was given does not run in a checkpoint of the old one", () =>
  inFolder(async (folder) => {
    await trained(folder, ["name=old"], `${HOOKS}// old\n`);
    await trained(folder, ["name=new"], `${HOOKS}// new\n`);
    await refused(script("generate", ["old"], folder), /its code hooks\.ts has changed: /);
    assert.equal((await script("generate", ["new", "--tokens", "3"], folder)).code, 0);
  }));

Deno.test("--resume with other hooks is an error of one line; --accept-changes resumes and logs a warning", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/hooks.ts`, `${HOOKS}// before\n`);
    const long = ["tiny.yaml", "train.steps=4000", "output.checkpoint_every=5", "--hooks", "hooks.ts"];
    const process = start("train", long, folder);
    await until(() => {
      try {
        return logOf(latest(folder)).includes('"type":"checkpoint"');
      } catch {
        return false;
      }
    });
    process.kill("SIGINT");
    assert.equal((await process.output()).code, 130);
    await Deno.writeTextFile(`${folder}/hooks.ts`, `${HOOKS}// after\n`);
    await succeeds("train", ["--trust", "hooks.ts"], folder);
    const resume = ["--resume", "runs/latest"];
    await refused(
      script("train", resume, folder),
      /hooks\.ts: the code has changed, its SHA-256 is [0-9a-f]{16} and was [0-9a-f]{16}; .* --accept-changes\n$/,
    );
    const on = start("train", [...resume, "--accept-changes"], folder);
    await until(() => logOf(latest(folder)).includes('"code":"code_changed"'));
    on.kill("SIGINT");
    await on.output();
  }));

Deno.test("a checkpoint from before hashes were sealed runs only trusted code", () =>
  inFolder(async (folder) => {
    cpSync(new URL("tests/fixtures", ROOT).pathname, `${folder}/tests/fixtures`, {
      recursive: true,
      verbatimSymlinks: true,
    });
    const hooks = `${HOOKS}export const keys = { share: { default: 0.1 } };\n`;
    await Deno.writeTextFile(`${folder}/tests/fixtures/hooks.ts`, hooks);
    const [{ name }] = Deno.readDirSync(`${folder}/tests/fixtures/runs/hooked`);
    const generate = () =>
      script("generate", [`tests/fixtures/runs/hooked/${name}`, "--tokens", "3"], folder);
    await refused(generate(), /its code tests\/fixtures\/hooks\.ts .* is not trusted; /);
    await succeeds("train", ["--trust", "tests/fixtures/hooks.ts"], folder);
    assert.equal((await generate()).code, 0);
  }));

Deno.test("tasks and modifiers are code as hooks are", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(
      `${folder}/tasks.ts`,
      `export const aa = () => ({ text: "aa", answerStart: 1 });\n`,
    );
    await Deno.copyFile(new URL("configs/distance_penalty.ts", ROOT), `${folder}/penalty.ts`);
    const text = await Deno.readTextFile(`${folder}/penalty.ts`);
    await Deno.writeTextFile(`${folder}/penalty.ts`, text.replace("../mod.ts", new URL("mod.ts", ROOT).href));
    const args = [
      "--tasks",
      "tasks.ts",
      "model.context=8",
      "model.layers=1",
      "model.dim=16",
      "train.steps=2",
    ];
    const small = [
      "eval.batches=1",
      "sample.prompt=a",
      "sample.tokens=0",
      "device=cpu",
      "--hooks",
      "penalty.ts",
    ];
    await succeeds("train", [...args, ...small], folder);
    const path = checkpoint(latest(folder));
    const { code } = JSON.parse(await Deno.readTextFile(`${path}/state.json`));
    assert.deepEqual(code.map(({ file }: { file: string }) => file).sort(), ["penalty.ts", "tasks.ts"]);
    const verified = await succeeds("verify_load", [path], folder);
    assert.match(
      verified.stdout,
      /parameters: .*; 4 more in tables of modifiers, whose shapes only their code defines\n/,
    );
    for (const name of ["penalty.ts", "tasks.ts"]) {
      const before = await Deno.readTextFile(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}`, `${before}\n`);
      await assert.rejects(
        async () => {
          const here = Deno.cwd();
          Deno.chdir(folder);
          try {
            await loadCheckpoint(path);
          } finally {
            Deno.chdir(here);
          }
        },
        new RegExp(`its code ${name} has changed: `),
      );
      await Deno.writeTextFile(`${folder}/${name}`, before);
    }
  }));

Deno.test("several processes that trust code at the same time are all recorded", () =>
  inFolder(async (folder) => {
    const names = Array.from({ length: 6 }, (_, i) => `hooks_${i}.ts`);
    for (const name of names) await Deno.writeTextFile(`${folder}/${name}`, `${HOOKS}// ${name}\n`);
    await Promise.all(names.map((name) => succeeds("train", ["--trust", name], folder)));
    const { trusted } = JSON.parse(await Deno.readTextFile(TRUSTED));
    for (const name of names) assert.ok(await hashOf(`${HOOKS}// ${name}\n`) in trusted, name);
  }));

Deno.test("training with a data folder that cannot be written reports it and continues; a damaged trusted.json is one line", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/hooks.ts`, `${HOOKS}// nowhere\n`);
    await Deno.writeTextFile(`${folder}/file`, "");
    const args = ["tiny.yaml", "--hooks", "hooks.ts", "train.steps=1", "sample.tokens=0"];
    const result = await script("train", args, folder, { env: { XDG_DATA_HOME: `${folder}/file` } });
    assert.equal(result.code, 0, result.stderr);
    assert.match(
      result.stderr,
      /file\/heed.*: .*hooks\.ts is not recorded as trusted: checkpoints will need --trust\.\n/,
    );
    await Deno.mkdir(`${folder}/data/heed`, { recursive: true });
    await Deno.writeTextFile(`${folder}/data/heed/trusted.json`, "{}");
    const env = { XDG_DATA_HOME: `${folder}/data` };
    await refused(
      script("generate", ["tiny"], folder, { env }),
      /trusted\.json: expected .* the file is damaged/,
    );
  }));

Deno.test("a sweep whose hooks have changed is an error: its ended runs used other code", () =>
  inFolder(async (folder) => {
    const sweep = () =>
      script("train", ["tiny.yaml", "seed=[1,2]", "train.steps=2", "--hooks", "hooks.ts"], folder);
    await Deno.writeTextFile(`${folder}/hooks.ts`, `${HOOKS}// one\n`);
    assert.equal((await sweep()).code, 0);
    assert.match((await sweep()).stderr, /\(already ended\)/);
    await Deno.writeTextFile(`${folder}/hooks.ts`, `${HOOKS}// two\n`);
    const { code, stderr } = await sweep();
    assert.match(stderr, /tiny-01-seed=1: .* has ended: hooks\.ts: the code has changed, its SHA-256 is/);
    assert.equal(code, 2);
  }));
