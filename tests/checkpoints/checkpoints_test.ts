// What no checksum can tell: files that are sealed and yet not what heed writes.
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../src/base/errors.ts";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import { resume } from "../../src/train/train.ts";
import { checkpoint, inFolder, latest, reseal, script, succeeds } from "../scripts/harness.ts";
import { prove } from "./prove.ts";

Deno.test("20 checkpoints changed at random and sealed again end in no stack, however they are opened", async () => {
  assert.equal(await prove(20, { seed: 4 }), 0);
});

Deno.test("JSON of 20,000 nested lists is reported in one line, in a tokenizer, a state and a log", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=3", "sample.tokens=0"], folder);
    const run = latest(folder);
    const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
    const changed = async (name: string, text: string) => {
      const copy = `${folder}/${name.replace(".", "-")}/run`;
      cpSync(run, copy, { recursive: true, verbatimSymlinks: true });
      await Deno.writeTextFile(name === "log.ndjson" ? join(copy, name) : join(checkpoint(copy), name), text);
      if (name === "tokenizer.json") await reseal(checkpoint(copy));
      return copy;
    };
    const tokenizer = await changed("tokenizer.json", `{"v":1,"kind":"char","characters":${deep}}`);
    const state = await changed("state.json", `{"step":${deep}}`);
    const log = await changed("log.ndjson", `{"v":2,"type":"run","config":${deep}}\n`);
    const asked: [() => Promise<unknown>, RegExp][] = [
      [
        () => loadCheckpoint(tokenizer),
        /tokenizer\.json: not valid JSON: nested more than 64 levels deep/,
      ],
      [() => loadCheckpoint(state), /state\.json: not valid JSON: nested more than 64 levels deep/],
      [() => resume(log), /log\.ndjson: has 0 of the \d+ records .*, line 1 is not a record; start again/],
    ];
    for (const [ask, expected] of asked) {
      const error = await ask().then(() => undefined, (error: Error) => error);
      assert.ok(error instanceof UserError, `${expected}: ${error?.stack}`);
      assert.match(error.message, expected);
    }
  }));

Deno.test("an index.json of a sweep with other entries than paths is passed over", () =>
  inFolder(async (folder) => {
    const args = ["tiny.yaml", "seed=[1,2]", "train.steps=2", "sample.tokens=0"];
    await succeeds("train", args, folder);
    const [{ name }] = [...Deno.readDirSync(`${folder}/runs`)].filter(({ name }) => /-sweep-/.test(name));
    const entries = [{ name: "tiny-01-seed=1", path: 5 }, null, { name: "tiny-02-seed=2" }];
    await Deno.writeTextFile(`${folder}/runs/${name}/index.json`, JSON.stringify({ v: 1, ended: entries }));
    const { code, stderr } = await script("train", args, folder);
    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/\(already ended\)/g)?.length, 2);
  }));
