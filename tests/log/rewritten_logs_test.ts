// Logs of both versions rewritten by other tools: the records are those of the original log.
import assert from "node:assert/strict";
import { runCharts } from "../../src/chart/mod.ts";
import { readLog } from "../../src/log/log_file.ts";
import { openRunLog } from "../../src/log/run_log.ts";
import { readRecord } from "../../src/log/log_lines.ts";
import { formatRecord, type LogRecord } from "../../src/log/records.ts";
import { formatResults, resultTable, runResult } from "../../src/log/results.ts";
import { statWriter } from "../../src/log/stat_formats.ts";
import { statRows } from "../../src/log/stat_rows.ts";
import { logSummariser } from "../../src/log/summary.ts";
import { recordOf } from "./made_records.ts";

type Fields = Record<string, unknown>;

/** A run that diverges, with every kind of null and every status in records of all types. */
const RECORDS: readonly LogRecord[] = [
  recordOf("run", {
    config: { lr: Infinity, model: { norm: null, rope: { base: NaN, dim: 4 } }, betas: [0.9, 0.99] },
    unigram_nats: null,
  }),
  recordOf("step"),
  recordOf("stat", {
    tap: "blocks.0.attn.pattern",
    layer: 0,
    head: 1,
    entropy: NaN,
    sink: 0.25,
    max: 0.5,
  }),
  recordOf("stat", { tap: "embed", mean: NaN, std: NaN, min: -Infinity, max: Infinity, zeros: 0 }),
  recordOf("eval", { loss: 3, answer_accuracy: 0.25 }),
  recordOf("checkpoint", { val_loss: null }),
  recordOf("step", { step: 2, loss: NaN }),
  recordOf("step", { step: 3, loss: 4, grad_norm: Infinity }),
  recordOf("step", { step: 4, loss: NaN, epoch: -Infinity, grad_norm: NaN, lr: Infinity }),
  recordOf("stat", { step: 4, kind: "param", tap: "embed.weight", mean: 1, l2: Infinity }),
  recordOf("eval", { step: 4, loss: NaN, perplexity: NaN }),
  recordOf("warning", { step: 4, message: "é 漢字 😀" }),
  recordOf("sample", { step: 4, text: 'a "quoted" text' }),
  recordOf("done", { step: 4, best: { step: 1, val_loss: 3 } }),
];

/** An object of version 2 as version 1 had it: the first number that is not finite has the status `status`. */
function unnamed(fields: Fields): Fields {
  let taken = Object.hasOwn(fields, "status");
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]): [string, unknown] => {
      if (typeof value === "object" && value !== null && !Array.isArray(value)) {
        return [key, unnamed(value as Fields)];
      }
      if (taken || !key.endsWith("_status")) return [key, value];
      taken = true;
      return ["status", value];
    }),
  );
}

const lineOf = (record: LogRecord): Fields => JSON.parse(formatRecord(record));

const LOGS: Readonly<Record<string, readonly Fields[]>> = {
  "version 1": RECORDS.map(lineOf).map((line) => line.v === 2 ? { ...unnamed(line), v: 1 } : line),
  "version 2": RECORDS.map(lineOf).filter(({ v }) => v === 2),
};

/** Every object with its keys in another order. */
const reordered = (value: unknown, order: (keys: string[]) => string[]): unknown => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const fields = value as Fields;
  return Object.fromEntries(order(Object.keys(fields)).map((key) => [key, reordered(fields[key], order)]));
};

/** A log as one tool or another writes it. */
const TOOLS: Readonly<Record<string, (lines: readonly Fields[]) => string[]>> = {
  "keys sorted": (lines) => lines.map((line) => JSON.stringify(reordered(line, (keys) => keys.toSorted()))),
  "keys the other way round": (lines) =>
    lines.map((line) => JSON.stringify(reordered(line, (keys) => keys.toReversed()))),
  "with white space": (lines) =>
    lines.map((line) => `  ${JSON.stringify(line, null, 1).replaceAll("\n", " ")} \r`),
  "numbers written otherwise": (lines) =>
    lines.map((line) =>
      JSON.stringify(line)
        .replaceAll(/(?<=[:,[])(\d+)(?=[,}\]])/g, "$1.0")
        .replaceAll(/(?<=[:,[])0\.(\d+)(?=[,}\]])/g, (_, digits: string) =>
          `${Number(digits)}E-${digits.length}`)
    ),
  "letters escaped": (lines) =>
    lines.map((line) =>
      JSON.stringify(line).replaceAll(
        /[^\x20-\x7e]|[esu](?=[a-z_]*")/g,
        (letter) =>
          [...new Array(letter.length).keys()].map((i) =>
            `\\u${letter.charCodeAt(i).toString(16).padStart(4, "0")}`
          ).join(""),
      )
    ),
};

async function withLog<T>(lines: readonly string[], body: (log: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    const log = `${folder}/log.ndjson`;
    await Deno.writeTextFile(log, lines.map((line) => `${line}\n`).join(""));
    return await body(log);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const read = (lines: readonly string[], types?: readonly string[]) =>
  withLog(lines, (log) => Array.fromAsync(readLog(log, { types })));

/** Records but for the version, whose keys may come in any order: assert.deepEqual does not look at it. */
const known = (records: readonly LogRecord[]) =>
  records.map((record) => {
    const { v: _, ...rest } = record as LogRecord & { v: number };
    return rest;
  });

for (const [version, lines] of Object.entries(LOGS)) {
  for (const [how, rewrite] of Object.entries(TOOLS)) {
    Deno.test(`a log of ${version}, ${how}, holds the records that were written`, async () => {
      assert.ok(lines.length > 0, "no log of this version is written");
      const rewritten = rewrite(lines);
      await assert.doesNotReject(read(rewritten));
      assert.deepEqual(known(await read(rewritten)), RECORDS);
      for (const types of [["step"], ["eval", "stat"], ["run", "done"]]) {
        assert.deepEqual(
          known(await read(rewritten, types)),
          RECORDS.filter(({ type }) => types.includes(type)),
        );
      }
    });
  }

  Deno.test(`a log of ${version} written by a table, with nulls for missing columns, holds its records`, async () => {
    assert.ok(lines.length > 0, "no log of this version is written");
    const columns = [...new Set(lines.flatMap((line) => Object.keys(line)))];
    const filled = lines.map((line) => Object.fromEntries(columns.map((name) => [name, line[name] ?? null])));
    const expected = RECORDS.map((record) => {
      const { unigram_nats: _, ...rest } = record as Fields;
      return rest;
    });
    const actual = known(await read(filled.map((line) => JSON.stringify(line)))) as Fields[];
    // The one status of a statistic in version 1 could be that of any column.
    const compared = version === "version 1" ? actual.filter(({ type }) => type !== "stat") : actual;
    assert.deepEqual(compared, expected.filter(({ type }) => version === "version 2" || type !== "stat"));
  });
}

Deno.test("a null in a table of one type of records is no status and no statistic", async () => {
  const [finite, diverged] = ["embed", "blocks.0.mlp.pre"].map((tap, i) =>
    recordOf("stat", { tap, ...(i ? { mean: NaN } : { mean: 1, max: 2 }) })
  );
  const columns = { max: null, mean_status: null };
  const lines = [finite, diverged].map((record) => JSON.stringify({ ...columns, ...lineOf(record) }));
  const [first, second] = known(await read(lines)) as Fields[];
  assert.deepEqual([first, second.mean], [finite, NaN]);
});

Deno.test("statistics, summary, results and charts of a sorted log are those of the log as it was written", async () => {
  const stats = (log: string) => readLog(log, { types: ["stat"] });
  const readers = async (log: string) => {
    const summariser = logSummariser();
    for await (const record of readLog(log)) summariser.add(record);
    const { losses, types } = summariser.summary();
    const csv = statWriter("csv");
    const rows = await Array.fromAsync(statRows(stats(log), {}));
    const result = await runResult(log);
    const table = formatResults(resultTable([result!], ["log"]), "csv").split("\n");
    return {
      losses,
      types,
      table: table.map((line) => line.split(",").toSorted()),
      statistics: rows.flatMap((row) => csv(row).split("\n")).toSorted(),
      charts: await runCharts(log),
    };
  };
  for (const lines of Object.values(LOGS)) {
    const expected = await withLog(lines.map((line) => JSON.stringify(line)), readers);
    assert.deepEqual(await withLog(TOOLS["keys sorted"](lines), readers), expected);
    assert.equal(expected.losses[0].last.loss, NaN);
  }
});

Deno.test("a status in a sorted record of version 1 that several nulls could have leaves them null", () => {
  const line = '{"a":null,"b":null,"status":"nan","type":"own","v":1}';
  const record = readRecord(new TextEncoder().encode(line), "a log", 1, false);
  assert.deepEqual(record, { a: null, b: null, status: "nan", type: "own", v: 1 });
});

Deno.test("a list has a status for each number; a status without a number is an ordinary field", () => {
  const read = (line: string) => readRecord(new TextEncoder().encode(line), "a log", 1, false);
  const custom = { type: "own", mixed: [1, NaN, null, -Infinity], deep: [[NaN], { x: Infinity }] };
  const { v: _, ...back } = read(formatRecord(custom as unknown as LogRecord)) as LogRecord & { v: number };
  assert.deepEqual(back, custom);
  const others = '{"v":2,"type":"own","status":"nan","loss":1,"loss_status":"nan","a":null,"a_status":"new"}';
  assert.deepEqual(read(others), JSON.parse(others));
});

Deno.test("a run of version 1 resumes in version 2", () =>
  withLog(LOGS["version 1"].map((line) => JSON.stringify(line)), async (path) => {
    {
      using log = openRunLog(path, { step: 4 });
      log.write(recordOf("step", { step: 5, loss: NaN }));
    }
    const all = await Array.fromAsync(readLog(path)) as (LogRecord & { v: number })[];
    assert.deepEqual(all.map(({ v }) => v), [...RECORDS.slice(1).map(() => 1), 2]);
    assert.deepEqual(known(all), [...RECORDS.slice(0, -1), recordOf("step", { step: 5, loss: NaN })]);
  }));
