// The results of user code are checked where it is called: each error is one line with the file, the export, what was
// returned and what was expected. Its exceptions keep their stack, below a line of heed's.
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadConfig } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import { readLog } from "../../src/log/log_file.ts";
import type { LogRecord, StatRecord } from "../../src/log/records.ts";
import { train } from "../../src/train/train.ts";
import { inFolder, latest, logOf, ROOT, script } from "../scripts/harness.ts";

const HEED = JSON.stringify(new URL("mod.ts", ROOT).href);

/** A training run of three steps with a user's file, given as `key` of its configuration. */
async function trained(source: string, key = "hooks.file", more: string[] = []): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  await inFolder(async (folder) => {
    const file = join(folder, "mine.ts");
    await Deno.writeTextFile(file, source.replaceAll("HEED", HEED));
    const small = ["train.steps=3", "eval.every=3", "eval.batches=1", "sample.tokens=0"];
    const config = await loadConfig(join(folder, "tiny.yaml"), [
      `data.files=[${folder}/text.txt]`,
      `output.dir=${folder}/runs`,
      ...small,
      ...more,
      ...key === "data.tasks" ? ["data.files=[]", "data.source=mine", "sample.prompt=a"] : [],
      `${key}=${key.endsWith("modifier") ? `{ file: ${file}, name: mine }` : file}`,
    ]);
    await train(config, { records: { write: (...all) => void records.push(...all) } });
  });
  return records;
}

/** The error line of a training run. */
async function mistake(source: string, key?: string): Promise<string> {
  try {
    await trained(source, key);
  } catch (error) {
    assert.ok(error instanceof UserError, `${source}\n${(error as Error).stack}`);
    assert.ok(!error.message.includes("\n"), error.message);
    return error.message;
  }
  assert.fail(`trained with ${source}`);
}

/** Invalid hooks files by their error, and the expected line. The text has 43 characters. */
const MISTAKES: [string, RegExp][] = [
  [
    "metrics = [{ name: 'm', every: 1, fn: () => 'hello' }]",
    /metrics "m" at step 1: expected a number or a flat record of numbers, found "hello"\.$/,
  ],
  [
    "metrics = [{ name: 'm', every: 2, fn: () => ({ a: { b: 1 } }) }]",
    /metrics "m" at step 2: .* found a: a mapping\.$/,
  ],
  ["metrics = [{ name: 'm', every: 1, fn: () => [1, 2] }]", /metrics "m" at step 1: .* found a list of 2\.$/],
  ["metrics = [{ name: 'm', every: 1, fn: () => {} }]", /metrics "m" at step 1: .* found nothing\.$/],
  ["metrics = [{ name: 'm', every: 1, fn: () => ({}) }]", /metrics "m" at step 1: .* found an empty one\.$/],
  [
    "metrics = [{ name: 'm', every: 1, fn: () => new Float32Array(2) }]",
    /metrics "m" at step 1: .* found a Float32Array\.$/,
  ],
  ...["v", "type", "step", "kind", "tap", "layer", "head", "status", "loss_status"].map((
    name,
  ): [string, RegExp] => [
    `metrics = [{ name: 'm', every: 1, fn: () => ({ ok: 1, ${name}: 7 }) }]`,
    new RegExp(`metrics "m" at step 1: ${name}: a field of every record has this name; expected another\\.$`),
  ]),
  [
    "metrics = [1, 2].map((every) => ({ name: 'm', every, fn: () => 1 }))",
    /metrics: metric "m" is defined twice; /,
  ],
  [
    "metrics = [{ name: 'm', every: 0, fn: () => 1 }]",
    /metrics: .* every of metric "m": .* at least 1, found 0\.$/,
  ],
  [
    "batch = ({ ids, targets }) => ({ ids: ids.map(() => 500), targets })",
    /batch at step 1: id 500, vocabulary (\d+); expected 0 to \d+\.$/,
  ],
  [
    "batch = ({ ids, targets }) => ({ ids, targets: targets.map(() => 500) })",
    /batch at step 1: target 500, vocabulary \d+; expected 0 to \d+, or IGNORE \(4294967295\)\.$/,
  ],
  [
    "batch = ({ ids, targets }, { vocabulary }) => ({ ids: ids.fill(vocabulary), targets })",
    /batch at step 1: id (\d+), vocabulary \1; /,
  ],
  [
    "batch = ({ ids, targets }) => ({ ids: [...ids], targets })",
    /batch at step 1: .* found ids: a list of 64\.$/,
  ],
  [
    "batch = async (batch) => batch",
    /batch at step 1: expected \{ ids, targets \}, each .* found a promise\.$/,
  ],
  ["batch = () => {}", /batch at step 1: .* found nothing\.$/],
  [
    "freeze = () => 'embed.*'",
    /freeze at step 1: expected a list of globs over parameter names, found "embed\.\*"\.$/,
  ],
  ["freeze = () => [3]", /freeze at step 1: .* found 3 in the list\.$/],
  ["freeze = async () => []", /freeze at step 1: .* found a promise\.$/],
  [
    "scores = { '**.scores': () => 3 }",
    /scores "\*\*\.scores" at blocks\.0\.attn\.scores: expected it to return modifier\(.*\), found 3\.$/,
  ],
  ["scores = { '**.scores': (score) => score }", /scores .* found only an expression\.$/],
  [
    "scores = { '**.scores': (score) => ({ expression: score, tables: { a: 1 } }) }",
    /scores .* found a mapping\.$/,
  ],
  [
    "scores = { '**.scores': () => ({ expression: { kind: 'variable', name: 'scroe' }, tables: {} }) }",
    /scores .*: modifier: unknown variable "scroe"\. Did you mean "score"\?$/,
  ],
  [
    "taps = { embed: async (x) => x }",
    /taps "embed" at embed: expected it to return a tensor f32\[.*found a promise\.$/,
  ],
  [
    "taps = { embed: 3 }",
    /taps: expected an object that maps tap patterns to functions, found "embed": 3\.$/,
  ],
  ["batch = 3", /batch: expected a function, found 3\.$/],
  [
    "keys = { a: { default: 1, min: 'x' } }; export const batch = (x) => x",
    /keys\.a\.min: expected a number, found "x"\.$/,
  ],
  [
    "keys = { a: { default: 'b', oneOf: 'abc' } }; export const batch = (x) => x",
    /keys\.a\.oneOf: expected a list of texts, found "abc"\.$/,
  ],
  [
    "taps = {}; export const freez = () => ['**']",
    /expected .*mine\.ts to export one of taps, .*, found freez\. Did you mean "freeze"\?$/,
  ],
];

Deno.test("the result of a hook is checked at its first call: one line names the file, the export, what was found and what was expected", async () => {
  for (const [source, line] of MISTAKES) {
    const message = await mistake(`export const ${source};`);
    assert.match(message, line);
    assert.match(message, /mine\.ts/);
  }
});

Deno.test("the tables and the result of a user's modifier are checked", async () => {
  const key = "model.block.attention.modifier";
  const refused = async (source: string, line: RegExp) =>
    assert.match(await mistake(`export const mine = { ${source} };`, key), line);
  await refused(
    "modifier: () => 3",
    /mine\.ts: mine: modifier of block 0: expected it to return modifier\(.*found 3\.$/,
  );
  const modifier = "modifier: (tables) => ({ expression: { kind: 'variable', name: 'score' }, tables })";
  await refused(`tables: 3, ${modifier}`, /mine\.ts: mine: tables: expected a function, found 3\.$/);
  await refused(`tables: () => 3, ${modifier}`, /mine: tables of block 0: expected an object .* found 3\.$/);
  const shape = /mine: tables of block 0: .* slope has shape: \[-1\]\.$/;
  await refused(`tables: () => ({ slope: { shape: [-1], start: 0 } }), ${modifier}`, shape);
  const start = /mine: tables of block 0: .* slope has start: "a"\.$/;
  await refused(`tables: () => ({ slope: { shape: [1], start: "a" } }), ${modifier}`, start);
});

Deno.test("a sample of a user's task is checked field by field", async () => {
  const refused = async (sample: string, line: RegExp) =>
    assert.match(await mistake(`export const mine = ${sample};`, "data.tasks"), line);
  await refused("() => 'ab'", /mine\.ts: mine: expected \{ text, answerStart \}, .* found "ab"\.$/);
  await refused("async () => ({ text: 'ab', answerStart: 1 })", /mine\.ts: mine: .* found a promise\.$/);
  await refused("() => ({ text: 3, answerStart: 1 })", /mine\.ts: mine: .* text: expected text, found 3\.$/);
  const sample = (more: string) => `() => ({ text: 'ab', answerStart: 1, ${more} })`;
  await refused(sample("answers: 3"), /answers: expected nothing or a list of \[from, to\], found 3\.$/);
  await refused(sample("nats: 'x'"), /nats: expected nothing or a number, found "x"\.$/);
  await refused(sample("masked: 1"), /masked: expected nothing, true or false, found 1\.$/);
  await refused("{ sample: () => {}, alphabet: 3 }", /mine\.ts: mine: alphabet: expected text, found 3\.$/);
});

Deno.test("targets may be IGNORE, ids any of the context's vocabulary, and metrics any number", async () => {
  const records = await trained(
    `import { IGNORE } from HEED;
    export const taps = { embed: (x, { vocabulary }) => { globalThis.seen = [vocabulary]; return x; } };
    export const batch = ({ ids, targets }, { vocabulary, random }) => {
      globalThis.seen.push(vocabulary);
      return { ids: ids.map(() => random.below(vocabulary)), targets: targets.map((id, i) => i % 2 ? IGNORE : id) };
    };
    export const freeze = ({ vocabulary }) => { globalThis.seen.push(vocabulary); return []; };
    export const metrics = [
      { name: "nan", every: 1, fn: () => NaN },
      { name: "two", every: 3, fn: async ({ vocabulary }) => ({ vocabulary, infinite: Infinity }) },
    ];`,
  );
  const { vocabulary } = records.find((r): r is StatRecord => r.type === "stat" && r.tap === "two")!;
  assert.ok(Number(vocabulary) > 30);
  const seen = (globalThis as unknown as { seen: number[] }).seen;
  assert.deepEqual(new Set(seen), new Set([vocabulary]));
  assert.equal(records.filter((r) => r.type === "stat" && r.tap === "nan").length, 3);
});

Deno.test("a Map or a Promise instead of an object of hooks is refused, not ignored", async () => {
  assert.match(
    await mistake("export const taps = new Map([['embed', (x) => x]]);"),
    /taps: .* found a Map\.$/,
  );
  assert.match(await mistake("export const scores = Promise.resolve({});"), /scores: .* found a promise\.$/);
  const keys = "export const batch = (x) => x, keys = new Map([['a', { default: 1 }]]);";
  assert.match(await mistake(keys), /keys: expected an object of declared keys, found a Map\.$/);
});

Deno.test("other exports of a hooks file are ignored, whatever their names", async () => {
  const records = await trained("export const steps = 3, taps = {}, scale = (x) => x; export default 1;");
  assert.equal(records.at(-1)!.type, "done");
});

Deno.test("--hooks: a misspelt export gives one line with the closest name; an error of a hook gives one line, then its stack", () =>
  inFolder(async (folder) => {
    const run = async (source: string) => {
      await Deno.writeTextFile(`${folder}/mine.ts`, source);
      return await script("train", ["tiny.yaml", "--hooks", "mine.ts", "sample.tokens=0"], folder);
    };
    const refused = async (source: string, line: RegExp) => {
      const { code, stderr } = await run(source);
      assert.match(stderr.replace(/^(trusted|tiny|memory|device): .*\n/gm, ""), line);
      assert.equal(code, 2);
    };
    await refused(
      'export const tapz = { "blocks.0.resid_post": (x) => x };',
      /^train: --hooks: expected mine\.ts to export one of .* or a score modifier, found tapz\. Did you mean "taps"\?\n$/,
    );
    const stack = String.raw`\n    at .*mine\.ts:\d+:\d+[^]*$`;
    await refused(
      "export const freeze = () => { throw new RangeError('no\\nmore'); };",
      new RegExp(
        String.raw`^train: mine\.ts: freeze at step 1 threw RangeError: no\nRangeError: no\nmore${stack}`,
      ),
    );
    await refused(
      "export const metrics = [{ name: 'm', every: 1, fn: async () => { await 1; null.x; } }];",
      new RegExp(
        String.raw`^train: mine\.ts: metrics "m" at step 1 threw TypeError: .*\nTypeError: .*${stack}`,
      ),
    );
    await refused(
      "export const taps = {};\nnull.x;",
      new RegExp(String.raw`^train: --hooks: mine\.ts threw TypeError: .*\nTypeError: .*${stack}`),
    );
    await refused(
      "export const taps = {};\nthrow 'words';",
      /^train: --hooks: mine\.ts threw words\nwords\n$/,
    );
  }));

Deno.test("a metric of NaN or infinity is read back from the log unchanged", () =>
  inFolder(async (folder) => {
    const source =
      "export const metrics = [{ name: 'm', every: 6, fn: () => ({ loss: NaN, mine: -Infinity }) }];";
    await Deno.writeTextFile(`${folder}/mine.ts`, source);
    const { code, stderr } = await script(
      "train",
      ["tiny.yaml", "--hooks", "mine.ts", "sample.tokens=0"],
      folder,
    );
    assert.equal(code, 0, stderr);
    const run = latest(folder);
    assert.match(
      logOf(run),
      /"tap":"m",.*"loss":null,"loss_status":"nan","mine":null,"mine_status":"-inf"\}/,
    );
    const records: LogRecord[] = [];
    for await (const record of readLog(`${run}/log.ndjson`)) {
      if (record.type === "stat" && record.tap === "m") records.push(record);
    }
    const [{ loss, mine }] = records as StatRecord[];
    assert.deepEqual([loss, mine], [NaN, -Infinity]);
  }));
