// Models by name, with a local hub: downloads, verification, and offline errors.
import assert from "node:assert/strict";
import { UserError } from "../../../src/base/errors.ts";
import { type HubOptions, modelFolder } from "../../../src/model/formats/hub.ts";
import { sha256Hex } from "../../../src/base/hash.ts";
import { inFolder, tree } from "../../scripts/harness.ts";

const WEIGHTS = new TextEncoder().encode("weights");

/** A hub that redirects large files to a separate store, as Hugging Face's does. */
function hub(stated: { bytes?: number; sha256?: string } = {}, sent = WEIGHTS) {
  const asked: string[] = [];
  const fetch: HubOptions["fetch"] = (url) => {
    asked.push(url);
    if (url.startsWith("https://store/")) return Promise.resolve(new Response(sent));
    if (!url.endsWith(".safetensors")) return Promise.resolve(new Response(`{"of":${JSON.stringify(url)}}`));
    const headers: Record<string, string> = { location: "https://store/weights" };
    if (stated.sha256) headers["x-linked-etag"] = `"${stated.sha256}"`;
    if (stated.bytes) headers["x-linked-size"] = String(stated.bytes);
    return Promise.resolve(new Response(null, { status: 302, headers }));
  };
  return { fetch, asked };
}

Deno.test("modelFolder() downloads a model's files once, through redirects, and reuses them", () =>
  inFolder(async (cache) => {
    const { fetch, asked } = hub({ bytes: 7, sha256: sha256Hex(WEIGHTS) });
    const seen: unknown[] = [];
    const progress = (...args: unknown[]) => void seen.push(args);
    const folder = await modelFolder("owner/tiny", { cache, fetch, progress });
    assert.equal(folder, `${cache}/models/owner/tiny`);
    assert.deepEqual(tree(folder), ["SHA256SUMS", "config.json", "model.safetensors", "tokenizer.json"]);
    assert.deepEqual(Deno.readFileSync(`${folder}/model.safetensors`), WEIGHTS);
    assert.equal(asked[0], "https://huggingface.co/owner/tiny/resolve/main/config.json");
    assert.deepEqual(seen.at(-1), ["model.safetensors", 7, 7]);
    const before = asked.length;
    assert.equal(before, 4);
    await modelFolder("owner/tiny", { cache, fetch });
    assert.equal(asked.length, before);
  }));

Deno.test("modelFolder() refuses a download that differs from what the hub states, and keeps nothing of it", () =>
  inFolder(async (cache) => {
    const refuses = (stated: { bytes?: number; sha256?: string }, message: RegExp) =>
      assert.rejects(
        () => modelFolder("owner/tiny", { cache, ...hub(stated) }),
        (error: Error) => error instanceof UserError && message.test(error.message),
      );
    await refuses(
      { bytes: 8 },
      /model\.safetensors cannot be downloaded \(it has 7 bytes, expected 8\); put config/,
    );
    await refuses({ sha256: "0".repeat(64) }, /it has SHA-256 [0-9a-f]{64}, expected 0{64}/);
    assert.deepEqual(tree(cache).filter((path) => /partial|safetensors/.test(path)), []);
  }));

Deno.test("modelFolder() of a known model refuses other weights, downloaded or already there", () =>
  inFolder(async (cache) => {
    const refuses = (message: RegExp) =>
      assert.rejects(
        () => modelFolder("gpt2", { cache, ...hub() }),
        (error: Error) => error instanceof UserError && message.test(error.message),
      );
    await refuses(/^gpt2: model\.safetensors cannot be downloaded \(it has 7 bytes, expected 548105171\)/);
    await Deno.writeTextFile(`${cache}/models/gpt2/model.safetensors`, "other");
    await refuses(/model\.safetensors has 5 bytes, expected 548105171; remove it, and put config\.json/);
  }));

Deno.test("modelFolder() offline says in one line where to put which files", () =>
  inFolder(async (cache) => {
    const fetch = () => Promise.reject(new TypeError("error sending request:\n no route"));
    await assert.rejects(
      () => modelFolder("gpt2", { cache, fetch }),
      (error: Error) => {
        assert.ok(error instanceof UserError);
        assert.equal(
          error.message,
          "gpt2: config.json cannot be downloaded (error sending request: no route); put config.json, " +
            "tokenizer.json, model.safetensors of https://huggingface.co/openai-community/gpt2 in " +
            `${cache}/models/gpt2.`,
        );
        return true;
      },
    );
    await assert.rejects(
      () => modelFolder("gtp2", { cache, fetch }),
      /gtp2: no such folder, .* Did you mean "gpt2"\?/,
    );
    await assert.rejects(
      () => modelFolder("downloads/gpt2", { cache, fetch }),
      /^UserError: downloads\/gpt2: no such folder, and config\.json of a model of that name cannot be downloaded/,
    );
    for (const path of ["../gpt2", "./gpt2", "downloads/.."]) {
      await assert.rejects(
        () => modelFolder(path, { cache, fetch }),
        /: no such folder, and no model of that name/,
      );
    }
    assert.deepEqual(Array.from(Deno.readDirSync(`${cache}/models`), ({ name }) => name).sort(), [
      "downloads",
      "gpt2",
    ]);
  }));

Deno.test("modelFolder() accepts sharded weights that are already there", () =>
  inFolder(async (cache) => {
    const { fetch, asked } = hub();
    const folder = `${cache}/models/owner/tiny`;
    Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(`${folder}/model.safetensors.index.json`, "{}");
    assert.equal(await modelFolder("owner/tiny", { cache, fetch }), folder);
    assert.deepEqual(asked.map((url) => url.split("/").at(-1)), ["config.json", "tokenizer.json"]);
  }));

Deno.test("modelFolder() records each file's SHA-256 at its first use and refuses a different one, in the folder or from the hub", () =>
  inFolder(async (cache) => {
    const folder = `${cache}/models/owner/tiny`;
    const use = (of: string) => {
      const fetch: HubOptions["fetch"] = (url) =>
        Promise.resolve(new Response(`${of} ${url.split("/").at(-1)}`));
      return modelFolder("owner/tiny", { cache, fetch });
    };
    await use("first");
    const refuses = (message: RegExp) =>
      assert.rejects(
        () => use("second"),
        (error: Error) =>
          error instanceof UserError && message.test(error.message) && !error.message.includes("\n"),
      );
    Deno.writeTextFileSync(`${folder}/tokenizer.json`, "other");
    await refuses(/tokenizer\.json has SHA-256 \w+, expected \w+, recorded at its first use in .*SHA256SUMS/);
    const sums = Deno.readTextFileSync(`${folder}/SHA256SUMS`);
    const sha256 = sha256Hex(new TextEncoder().encode("first config.json"));
    assert.ok(sums.startsWith(`${sha256}  config.json\n`), sums);
    // The hub's file of the same name may have changed.
    Deno.removeSync(`${folder}/tokenizer.json`);
    await refuses(
      /^owner\/tiny: tokenizer\.json cannot be downloaded \(it has SHA-256 .*, recorded at its first use/,
    );
    Deno.writeTextFileSync(`${folder}/SHA256SUMS`, sums.replace(/.* {2}tokenizer\.json\n/, ""));
    await use("second");
    assert.equal(Deno.readTextFileSync(`${folder}/tokenizer.json`), "second tokenizer.json");
    assert.equal(Deno.readTextFileSync(`${folder}/config.json`), "first config.json");
  }));

Deno.test("modelFolder() records the SHA-256 of a file that is already there", () =>
  inFolder(async (cache) => {
    const { fetch } = hub();
    const folder = `${cache}/models/owner/tiny`;
    Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(`${folder}/config.json`, "{}");
    await modelFolder("owner/tiny", { cache, fetch });
    Deno.writeTextFileSync(`${folder}/config.json`, "{ }");
    await assert.rejects(
      () => modelFolder("owner/tiny", { cache, fetch }),
      /config\.json has SHA-256 \w+, expected \w+, recorded at its first use/,
    );
  }));

Deno.test("modelFolder() refuses an HTML page as a model's file, by its type or first bytes, downloaded or already there", () =>
  inFolder(async (cache) => {
    const page = "\n<!DOCTYPE html><html><body>Log in</body></html>";
    const sends = (body: string, type: string): HubOptions["fetch"] => () =>
      Promise.resolve(new Response(body, { headers: { "content-type": type } }));
    for (const [body, type] of [[page, "text/plain"], ["{}", "text/html; charset=utf-8"]]) {
      await assert.rejects(
        () => modelFolder("owner/tiny", { cache, fetch: sends(body, type) }),
        /^UserError: owner\/tiny: .*config\.json .* cannot be downloaded \(it is an HTML page, not the file\); put/,
      );
      assert.deepEqual(tree(`${cache}/models/owner/tiny`), []);
    }
    Deno.writeTextFileSync(`${cache}/models/owner/tiny/config.json`, page);
    await assert.rejects(
      () => modelFolder("owner/tiny", { cache, fetch: sends("{}", "application/json") }),
      /config\.json: it is an HTML page, not the file; remove it, and put/,
    );
  }));
