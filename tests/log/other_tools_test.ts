// Logs as other tools read them: jq and DuckDB, each where it is installed, on every type of record with numbers that are
// not finite and texts that are hard to quote.
import assert from "node:assert/strict";
import { readRecord } from "../../src/log/log_lines.ts";
import { formatRecord, type LogRecord } from "../../src/log/records.ts";
import { statRows } from "../../src/log/stat_rows.ts";
import { statWriter } from "../../src/log/stat_formats.ts";
import { resolveConfig } from "../../src/config/mod.ts";
import { train } from "../../src/train/train.ts";
import { fileURLToPath } from "node:url";
import { join } from "node:path";

const TEXTS = [
  "quotes \"twice\" and 'once', a \\ backslash, a / slash",
  "line\nfeed, carriage\rreturn, tab\t, null\x00, escape\x1b, delete\x7f",
  "line\u2028separator, byte order mark\ufeff, 中文, العربية, 👩‍🔬, e\u0301",
  '{"v":1,"type":"step"}',
  "</script><!-- , ; 'NaN' null",
  "a half of a pair \ud83d alone",
];

function opening(): LogRecord {
  return {
    type: "run",
    name: 'a "run"',
    time: "2026-01-02T03:04:05.678Z",
    heed: "0.1.0",
    deno: "2.9.6",
    device: { kind: "webgpu", adapter: TEXTS[1], software: true },
    seed: 1,
    config: { name: "a", blocks: [], lr: 1 / 3, text: TEXTS[0], bound: Infinity, mix: [1, null, NaN] },
    parameters: 108160,
    tokens_per_step: 768,
    memory: { parameters: 4, optimizer: 8, activations: 2 ** 40, total: 2 ** 40 + 12 },
    git: null,
  };
}

function stat(step: number, tap: string, head: number | null, values: Record<string, number>): LogRecord {
  return {
    type: "stat",
    step,
    kind: "act",
    tap,
    layer: tap.startsWith("blocks.0") ? 0 : null,
    head,
    ...values,
  };
}

/** A log of all types of records. */
function records(): LogRecord[] {
  const steps = [1, 2, 3].flatMap((step): LogRecord[] => [
    {
      type: "step",
      step,
      samples: step * 12,
      tokens: step * 768,
      counter: 2 ** 53 - 4 + step,
      epoch: step / 7,
      loss: [4.5, NaN, Infinity][step - 1],
      lr: 1e-3 / 3,
      grad_norm: [1, -Infinity, 1e-300][step - 1],
      clipped: step > 1,
      ms: 2.5,
      tokens_per_s: 3e5,
    },
    stat(step, "embed", null, { mean: 1e-12, std: step === 2 ? NaN : 0.5, max: step === 2 ? Infinity : 2 }),
    stat(step, "blocks.0.attn.pattern", 0, { entropy: 1.25, sink: step / 3 }),
    stat(step, "blocks.0.attn.pattern", null, { entropy: 1.5, sink: 0, sink_heads: 0.25 }),
  ]);
  return [
    opening(),
    { type: "warning", step: null, code: "odd", message: TEXTS[0], tap: null },
    ...steps,
    {
      type: "eval",
      step: 3,
      split: "val",
      loss: NaN,
      perplexity: Infinity,
      accuracy: 0.25,
      tokens: 64,
      own: -0,
    },
    { type: "checkpoint", step: 3, path: "checkpoints/3", sha256: "ab".repeat(32), val_loss: null },
    ...TEXTS.map((text): LogRecord => {
      return {
        type: "sample",
        step: 3,
        prompt: text,
        text,
        temperature: 0.8,
        top_k: null,
        top_p: 0.9,
        seed: 1,
      };
    }),
    { type: "done", step: 3, seconds: 1.5, best: null, files: ["config.yaml", TEXTS[2]] },
  ];
}

async function installed(tool: string): Promise<boolean> {
  try {
    return (await new Deno.Command(tool, { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

/** Runs a tool in a folder and returns its output. */
async function outputOf(tool: string, args: readonly string[], cwd: string): Promise<string> {
  const output = await new Deno.Command(tool, { args: [...args], cwd, stdin: "null" }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.equal(output.code, 0, stderr);
  return stdout;
}

/** Runs a tool in a folder with log.ndjson, statistics.csv and statistics.ndjson, and returns its output. */
async function printed(tool: string, ...args: string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "heed-tools-" });
  try {
    await Deno.writeTextFile(
      `${folder}/log.ndjson`,
      records().map((record) => formatRecord(record) + "\n").join(""),
    );
    for (const format of ["csv", "ndjson"] as const) {
      const write = statWriter(format);
      const rows = await Array.fromAsync(statRows(ReadableStream.from(records())));
      await Deno.writeTextFile(`${folder}/statistics.${format}`, rows.map(write).join(""));
    }
    return await outputOf(tool, args, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const jq = { ignore: !await installed("jq") };
const duckdb = { ignore: !await installed("duckdb") };

Deno.test("jq reads every record of a log as JSON.parse does", jq, async () => {
  const lines = (await printed("jq", "-c", ".", "log.ndjson")).trimEnd().split("\n");
  const expected = records().map((record) => JSON.parse(formatRecord(record)));
  assert.deepEqual(lines.map((line) => JSON.parse(line)), expected);
});

Deno.test(
  "a log whose keys jq has sorted is read as before, numbers that are not finite too",
  jq,
  async () => {
    const lines = (await printed("jq", "-cS", ".", "log.ndjson")).trimEnd().split("\n");
    const read = (line: string) => readRecord(new TextEncoder().encode(line), "a log", 1, false);
    const expected = records().map((record) => read(formatRecord(record)));
    assert.deepEqual(lines.map(read), expected);
    assert.ok(expected.some((record) => record?.type === "step" && Number.isNaN(record.loss)));
  },
);

Deno.test("jq finds a loss that is not finite by its status", jq, async () => {
  const filter = 'select(.type == "step") | [.step, .loss // .loss_status] | @tsv';
  assert.equal(await printed("jq", "-r", filter, "log.ndjson"), "1\t4.5\n2\tnan\n3\tinf\n");
});

Deno.test("jq reads the rows that stats writes", jq, async () => {
  const filter = 'select(.stat == "max") | [.step, .tap, .value // .value_status] | @csv';
  const expected = '1,"embed",2\n2,"embed","inf"\n3,"embed",2\n';
  assert.equal(await printed("jq", "-r", filter, "statistics.ndjson"), expected);
});

const README = new URL("../../docs/tracking.md", import.meta.url);
const TRAINING = new URL("../../docs/training.md", import.meta.url);

/** Calls `use` with a folder whose runs/latest/log.ndjson a run wrote that tracked everything. */
async function withRealLog(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-tools-" });
  try {
    await train(resolveConfig({
      device: "cpu",
      data: { files: [fileURLToPath(README)] },
      model: { context: 8, dim: 8, layers: 2, heads: 2 },
      train: { steps: 4, batch: 2 },
      eval: { every: 2, batches: 1 },
      sample: { tokens: 2 },
      track: [{ every: 2 }],
      output: { dir: join(folder, "runs") },
    }, { place: "test", name: "test" }));
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test(
  "the jq lines of the documents, on a run's log, print rows without a blank cell",
  jq,
  () =>
    withRealLog(async (folder) => {
      const readme = await Deno.readTextFile(README);
      const lines = [...readme.matchAll(/^jq -r '([^']+)' (runs\/latest\/log\.ndjson)$/gm)];
      const training = await Deno.readTextFile(TRAINING);
      const piped = [...training.matchAll(/\| jq -c '(select\(\.type == "eval"[^']+)'$/gm)];
      assert.ok(lines.length >= 2 && piped.length > 0);
      for (const [, filter] of [...lines, ...piped]) {
        const text = filter.endsWith("@tsv") ? filter : `${filter} | @tsv`;
        const printed = await outputOf("jq", ["-r", text, "runs/latest/log.ndjson"], folder);
        const rows = printed.trimEnd().split("\n").map((row) => row.split("\t"));
        assert.ok(
          rows.every((row) => row.length > 1 && row.every((cell) => cell !== "")),
          `${filter}:\n${printed}`,
        );
      }
    }),
);

/** The result of a DuckDB query, as rows. */
async function asked(sql: string): Promise<Record<string, unknown>[]> {
  return JSON.parse(await printed("duckdb", "-json", "-c", sql) || "[]");
}

const LOG = "read_ndjson('log.ndjson', sample_size = -1)";

Deno.test(
  "DuckDB reads every type of record from one log, with nulls where numbers were not finite",
  duckdb,
  async () => {
    const counts = Map.groupBy(records(), ({ type }) => type);
    const rows = await asked(`select type, count(*) as n from ${LOG} group by type order by type`);
    assert.deepEqual(
      rows,
      [...counts].map(([type, all]) => ({ type, n: all.length })).sort((a, b) => a.type < b.type ? -1 : 1),
    );
    assert.deepEqual(
      await asked(`select step, loss, loss_status from ${LOG} where type = 'step' order by step`),
      [
        { step: 1, loss: 4.5, loss_status: null },
        { step: 2, loss: null, loss_status: "nan" },
        { step: 3, loss: null, loss_status: "inf" },
      ],
    );
    const heads = await asked(
      `select head, avg(entropy) as entropy from ${LOG} where tap = 'blocks.0.attn.pattern'
    group by head order by head nulls last`,
    );
    assert.deepEqual(heads, [{ head: 0, entropy: 1.25 }, { head: null, entropy: 1.5 }]);
  },
);

Deno.test("DuckDB gives texts back as they were", duckdb, async () => {
  const rows = await asked(`select text from ${LOG} where type = 'sample'`);
  assert.deepEqual(
    rows.map(({ text }) => text), // Half of a pair is no character, and a log that holds one is none to these tools.
    TEXTS.map((text) => text.toWellFormed()),
  );
});

Deno.test("DuckDB reads the CSV that stats writes, numbers that are not finite too", duckdb, async () => {
  const sql = "select step, value::varchar as value from 'statistics.csv' where stat = 'max' order by step";
  assert.deepEqual((await asked(sql)).map(({ value }) => value), ["2.0", "inf", "2.0"]);
});

Deno.test(
  "the DuckDB line of the documents, on a run's log, gives rows without a blank cell",
  duckdb,
  () =>
    withRealLog(async (folder) => {
      const [, sql] = /^duckdb -c "([^"]+)"$/m.exec(await Deno.readTextFile(README))!;
      const rows: Record<string, unknown>[] = JSON.parse(
        await outputOf("duckdb", ["-json", "-c", sql], folder),
      );
      // Two heads at steps 2 and 4.
      assert.equal(rows.length, 4);
      assert.ok(rows.every((row) => Object.values(row).every((cell) => cell !== null)), JSON.stringify(rows));
    }),
);
