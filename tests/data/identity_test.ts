// The SHA-256 of a run's data: independent of its location, different if any character differs.
import assert from "node:assert/strict";
import { resolveConfig } from "../../src/config/mod.ts";
import { loadData } from "../../src/data/mod.ts";
import { taskIdentity } from "../../src/data/identity.ts";
import { findTask } from "../../src/data/synthetic.ts";

/** The identity of a section `data` whose files are in a separate folder. */
async function identityOf(
  files: Readonly<Record<string, string>>,
  data: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "heed-identity-" });
  try {
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
    const paths = Object.keys(files).filter((name) => name !== "val.txt").map((name) => `${folder}/${name}`);
    const given = { val: "val.txt" in files ? [`${folder}/val.txt`] : [], test: [] };
    const raw = { data: { files: paths, split_files: given, ...data } };
    const config = resolveConfig(raw, { place: "test", name: "test" });
    const sizes = { context: 4, batch: 2, seed: 1 };
    return (await loadData(config.data, config.tokenizer, sizes)).sha256;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const TEXT = "abcdefghij\n".repeat(20);

Deno.test("a text has the same identity in another folder under another name, and a different one if a character changes", async () => {
  const sha256 = await identityOf({ "a.txt": TEXT });
  assert.match(sha256, /^[0-9a-f]{64}$/);
  assert.equal(await identityOf({ "b.txt": TEXT }), sha256);
  assert.equal(await identityOf({ "a.txt": TEXT.slice(0, 110), "b.txt": TEXT.slice(110) }), sha256);
  assert.notEqual(await identityOf({ "a.txt": TEXT.replace("a", "b") }), sha256);
  assert.notEqual(await identityOf({ "a.txt": `${TEXT}a` }), sha256);
});

Deno.test("the text of a separate split is part of the identity", async () => {
  const sha256 = await identityOf({ "a.txt": TEXT, "val.txt": TEXT });
  assert.notEqual(await identityOf({ "a.txt": TEXT }), sha256);
  assert.notEqual(await identityOf({ "a.txt": TEXT, "val.txt": TEXT.replace("a", "b") }), sha256);
});

Deno.test("if files are samples, the identity depends on how the text is divided into files", async () => {
  const cut = (at: number) =>
    identityOf({ "a.txt": TEXT.slice(0, at), "b.txt": TEXT.slice(at) }, {
      sample: "file",
      split: { val: 0.5, test: 0 },
    });
  assert.notEqual(await cut(110), await cut(121));
});

Deno.test("a task's identity depends on the samples that it draws under a seed, not on its code", () => {
  const copy = findTask("copy");
  const sha256 = taskIdentity(copy, 1);
  assert.equal(taskIdentity({ ...copy, sample: (rng) => copy.sample(rng) }, 1), sha256);
  assert.notEqual(
    taskIdentity({ ...copy, sample: (rng) => ({ ...copy.sample(rng), masked: true }) }, 1),
    sha256,
  );
  assert.notEqual(taskIdentity(copy, 2), sha256);
});
