// Control characters in files, names and logs are escaped on a terminal.
import assert from "node:assert/strict";
import { type Ended, inFolder, ROOT, script } from "./harness.ts";

const CONTROLS = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** An escape that colours, a C1 that begins one, DEL, a bell, a carriage return, and marks that turn letters around. */
const HOSTILE = "a\x1b[31m\x9b1m\x7f\x07\r\u202e\u2066\u200f\u061cb";
const SHOWN = "a\\u001b[31m\\u009b1m\\u007f\\u0007\\r\\u202e\\u2066\\u200f\\u061cb";

function assertPlain({ stdout, stderr }: Ended): void {
  for (const line of `${stdout}\n${stderr}`.split("\n")) {
    assert.ok(!CONTROLS.test(line), JSON.stringify(line));
  }
}

/** Asserts an error of one line of at most 500 characters, and returns it. */
function assertOneLine(result: Ended): string {
  assertPlain(result);
  assert.equal(result.code, 2, result.stderr);
  assert.match(result.stderr, /^[^\n]{1,500}\n$/);
  return result.stderr;
}

Deno.test("control characters of a safetensors header are shown escaped", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/gpt2`);
    const golden = new URL("tests/golden/gpt2/config.json", ROOT);
    await Deno.copyFile(golden, `${folder}/gpt2/config.json`);
    const header = new TextEncoder().encode('{"a":\x1b[31mRED\x07}     ');
    const bytes = Uint8Array.of(header.length, 0, 0, 0, 0, 0, 0, 0, ...header);
    await Deno.writeFile(`${folder}/gpt2/model.safetensors`, bytes);
    const line = assertOneLine(await script("import_model", ["gpt2", "--out", "out"], folder));
    assert.match(line, /^import_model: gpt2\/model\.safetensors: the header is not valid JSON: .*\\u001b/);
  }));

Deno.test("control characters and marks of direction in names, arguments and configurations are shown escaped", () =>
  inFolder(async (folder) => {
    const named = assertOneLine(await script("train", [`${HOSTILE}.yaml`], folder));
    assert.ok(named.includes("\\u001b[31m\\u009b1m\\u007f"), named);
    await Deno.writeTextFile(
      `${folder}/odd.yaml`,
      `"${HOSTILE.replaceAll(/\p{Cc}/gu, "")}": 1\n`,
    );
    assert.match(assertOneLine(await script("train", ["odd.yaml"], folder)), /"a\[31m1m\\u202e\\u2066/);
    assertOneLine(await script("generate", [`--${HOSTILE}`], folder));
    assertOneLine(await script("stats", [HOSTILE], folder));
  }));

Deno.test("control characters and marks of direction in a log are shown escaped by stats and collect", () =>
  inFolder(async (folder) => {
    const memory = { parameters: 1, optimizer: 1, activations: 1, total: 3 };
    const device = { kind: "cpu", adapter: null, software: false };
    const run = {
      name: HOSTILE,
      time: "2025-01-01T00:00:00.000Z",
      heed: "0",
      deno: "2",
      device,
      seed: 1,
      config: {},
    };
    const place = { kind: "act", tap: HOSTILE, layer: null, head: null };
    const records = [
      { v: 1, type: "run", ...run, parameters: 1, tokens_per_step: 1, memory, git: null },
      { v: 1, type: "eval", step: 1, split: HOSTILE, loss: 1, perplexity: 2.7, accuracy: 0, tokens: 1 },
      { v: 1, type: "stat", step: 1, ...place, mean: 0, [HOSTILE]: 1 },
    ];
    await Deno.mkdir(`${folder}/runs`);
    const text = records.map((record) => `${JSON.stringify(record)}\n`).join("");
    await Deno.writeTextFile(`${folder}/runs/log.ndjson`, text);
    for (const args of [[], ["--kind", "act"]]) {
      const result = await script("stats", ["runs/log.ndjson", ...args], folder);
      assertPlain(result);
      assert.equal(result.code, 0, result.stderr);
      assert.ok(result.stdout.includes(SHOWN), result.stdout);
    }
    const result = await script("collect", ["runs"], folder);
    assertPlain(result);
    assert.equal(result.code, 0, result.stderr);
    assert.ok(result.stdout.includes(SHOWN), result.stdout);
  }));

Deno.test("a message of more than 500 characters is shortened in its middle", () =>
  inFolder(async (folder) => {
    const long = `${"x".repeat(3000)}/${"y".repeat(3000)}`;
    const line = assertOneLine(await script("stats", [long], folder));
    assert.match(line, /^stats: x{100,} \.\.\. \([\d,]+ characters left out\) \.\.\. /);
  }));
