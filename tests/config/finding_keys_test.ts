// Finding keys: --keys, the schema beside the configurations, and suggestions for other tools' spellings.
import assert from "node:assert/strict";
import { configKeys, keyLines, resolveConfig } from "../../src/config/mod.ts";
import { FOREIGN_KEYS } from "../../src/config/foreign_keys.ts";
import { inFolder, ROOT, script, succeeds } from "../scripts/harness.ts";

const paths = keyLines().filter((line) => !line.startsWith(" ")).map((line) => line.split(": ")[0]);

Deno.test("--keys lists every key of a resolved configuration, with its values, default and meaning", () => {
  const known = configKeys(resolveConfig({ name: "any" }, { place: "test", name: "any" }));
  assert.deepEqual([...known.keys()].filter((key) => !paths.includes(key.replace(/\.\d$/, ""))), []);
  assert.deepEqual(keyLines("model.dim"), [
    "model.dim: an integer of at least 1; default: 128",
    "    Width of the residual stream.",
  ]);
  assert.ok(keyLines("optimizer").every((line) => /^(optimizer| {4})/.test(line)));
  assert.throws(() => keyLines("optimzer"), /no key starts with that\. Did you mean "optimizer"\?/);
});

Deno.test("another tool's spelling of a key is answered with ours", () => {
  for (const [foreign, key] of Object.entries(FOREIGN_KEYS)) {
    assert.ok(paths.includes(key), key);
    const section = key.includes(".") ? { model: { [foreign]: 1 } } : { [foreign]: 1 };
    for (const raw of [section, { [foreign]: 1 }]) {
      assert.throws(
        () => resolveConfig(raw, { place: "a.yaml", name: "a" }),
        (error: Error) => error.message.endsWith(`${foreign}: unknown key. It is "${key}" here.`),
        foreign,
      );
    }
  }
  assert.throws(
    () => resolveConfig({ lr: 1 }, { place: "a.yaml", name: "a" }),
    /Did you mean "optimizer\.lr"\?/,
  );
});

Deno.test("configs/schema.json is what deno task schema writes, and every shipped configuration names it", () =>
  inFolder(async (folder) => {
    const shipped = Deno.readTextFileSync(new URL("configs/schema.json", ROOT));
    assert.equal((await succeeds("schema", [], folder)).stdout, shipped);
    await succeeds("schema", ["--out", "mine.json"], folder);
    assert.equal(Deno.readTextFileSync(`${folder}/mine.json`), shipped);
    assert.equal(JSON.parse(shipped).$schema, "http://json-schema.org/draft-07/schema#");
    for (const { name } of Deno.readDirSync(new URL("configs/", ROOT))) {
      if (!name.endsWith(".yaml")) continue;
      const text = Deno.readTextFileSync(new URL(`configs/${name}`, ROOT));
      assert.ok(text.startsWith("# yaml-language-server: $schema=schema.json\n"), name);
      // YAML 1.1, which Python and some editors read, takes 1e-3 for text.
      assert.doesNotMatch(text.replace(/#.*$/gm, ""), /[\s:\[]\d+e[-+]?\d/, name);
    }
  }));

Deno.test("--keys, --version and --dry-run of train print what they document", () =>
  inFolder(async (folder) => {
    assert.equal(
      (await succeeds("train", ["--keys", "model.dim"], folder)).stdout,
      `${keyLines("model.dim").join("\n")}\n`,
    );
    assert.match((await succeeds("plot", ["--version"], folder)).stdout, /^heed \d+\.\d+\.\d+\n$/);
    const { stdout } = await succeeds("train", ["tiny.yaml", "--dry-run"], folder);
    assert.match(stdout, /^name: tiny\nseed: 1\n/);
    assert.match(stdout, /\nlayer +shapes +parameters +memory +forward\n/);
    assert.match(
      stdout,
      /\nblocks\.0\.mlp +fc\.weight 64x16, proj\.weight 16x64 +2,048 +32\.0 KiB +[\d.]+ kFLOP\n/,
    );
    const { code, stderr } = await script("train", ["--keys", "optimzer"], folder);
    assert.deepEqual([code, stderr.trim()], [
      2,
      'train: --keys optimzer: no key starts with that. Did you mean "optimizer"?',
    ]);
  }));
