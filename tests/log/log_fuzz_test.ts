// Random damage to a log: every reader gives the remaining records or an error of one line with the wrong line's number, and
// none takes long, whatever the damaged values are.
import assert from "node:assert/strict";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { metricChart, resultsChart, runCharts, runReport } from "../../src/chart/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import { lineSplitter } from "../../src/log/log_lines.ts";
import { readLog } from "../../src/log/log_file.ts";
import { openRunLog } from "../../src/log/run_log.ts";
import { formatRecord, type LogRecord } from "../../src/log/records.ts";
import { findLogs, formatResults, resultTable, runResult } from "../../src/log/results.ts";
import { statWriter } from "../../src/log/stat_formats.ts";
import { statRows } from "../../src/log/stat_rows.ts";
import { logSummariser, summaryLines } from "../../src/log/summary.ts";
import { recordOf } from "./made_records.ts";

/** The log of a run of four steps: every type of record, numbers that are not finite, heads, layers and none. */
function* records(): Generator<LogRecord> {
  yield recordOf("run", {
    config: { model: { dim: 8, blocks: [{ a: 1 }] }, betas: [0.9, 0.99] },
    unigram_nats: 3,
  });
  yield recordOf("warning", { message: "é 漢字 😀\u2028" });
  for (let step = 1; step <= 4; step++) {
    yield recordOf("step", { step, loss: step === 2 ? NaN : 4 / step, lr: step === 2 ? Infinity : 1e-3 });
    const pattern = { step, tap: "blocks.0.attn.pattern", layer: 0, sink: 0.1 * step };
    for (const head of [0, 1]) yield recordOf("stat", { ...pattern, head, entropy: head + 1 / step });
    yield recordOf("stat", {
      step,
      kind: "param",
      tap: "embed.weight",
      mean: NaN,
      max: -Infinity,
      l2: 3 + step,
    });
    if (step % 2) continue;
    yield recordOf("eval", { step, loss: 5 / step, answer_accuracy: 0.25 });
    yield recordOf("jacobian", { step, r_diag: 0.7, r_diag_ci95: 0.1, parts: [0.5, NaN] });
    yield recordOf("checkpoint", { step, path: `checkpoints/${step}` });
  }
  yield recordOf("sample", { step: 4 });
  yield recordOf("done", { step: 4 });
}

const GOOD = new TextEncoder().encode([...records()].map((record) => `${formatRecord(record)}\n`).join(""));

const JUNK = [
  "null",
  "true",
  "-1",
  "0",
  "0.5",
  "1e999",
  "-1e308",
  "1e308",
  "5e-324",
  "9007199254740991",
  "9007199254740993",
  "4294967296",
  '""',
  '"x"',
  '"\\ud83d"',
  '"nan"',
  '"constructor"',
  "[]",
  "{}",
  "[1,null]",
  '{"a":1}',
  '{"__proto__":{"step":9}}',
  `${"[".repeat(3000)}${"]".repeat(3000)}`,
  `${'{"a":'.repeat(3000)}1${"}".repeat(3000)}`,
];
const BYTES = [[0], [0x0d], [0x0a], [0xff], [0xc3], [0xef, 0xbb, 0xbf], [0x22], [0x7b], [0x2c]];
const KEYS = ["__proto__", "constructor", "status", "type", "v", "step", "loss_status", "x"];

const one = <T>(rng: RandomStream, list: readonly T[]): T => list[rng.below(list.length)];

function spliced(
  bytes: Uint8Array,
  at: number,
  gone: number,
  put: readonly number[],
): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes.subarray(0, at), ...put, ...bytes.subarray(at + gone)]);
}

/** A line of a log with a key renamed, added or taken away, or another value of any type for one. */
function changedLine(line: string, rng: RandomStream): string {
  const fields = [...line.matchAll(/"(\w+)":("(?:[^"\\]|\\.)*"|[\w.+-]+|null|\{\}|\[\])/g)];
  if (fields.length === 0) return line;
  const { index, 0: { length }, 1: key, 2: value } = one(rng, fields);
  const put = one(rng, [
    `"${key}":${one(rng, JUNK)}`,
    `"${key}":${one(rng, JUNK)}`,
    `"${key}":${one(rng, JUNK)}`,
    `"${one(rng, KEYS)}":${value}`,
    `"${key}":${value},"${one(rng, KEYS)}":${one(rng, JUNK)}`,
    `"${key}":null,"status":${one(rng, ['"inf"', '"nan"', '"constructor"', "1"])}`,
  ]);
  return line.slice(0, index) + put + line.slice(index + length);
}

function damaged(rng: RandomStream): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer> = GOOD;
  for (let edits = 1 + rng.below(2); edits > 0; edits--) {
    const at = rng.below(bytes.length);
    const kind = rng.below(10);
    if (kind === 0) bytes = spliced(bytes, at, 1, [bytes[at] ^ (1 << rng.below(8))]);
    else if (kind === 1) bytes = spliced(bytes, at, rng.below(4), one(rng, BYTES));
    else if (kind === 2) bytes = bytes.slice(0, at + 1);
    else if (kind === 3) bytes = spliced(bytes, 0, 0, one(rng, BYTES));
    else {
      // Undecodable bytes stay undecodable: they become a character that no record has.
      const lines = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).split("\n");
      const [i, j] = [rng.below(lines.length), rng.below(lines.length)];
      if (kind === 4) lines.splice(i, 1);
      else if (kind === 5) lines.splice(j, 0, lines[i]);
      else if (kind === 6) [lines[i], lines[j]] = [lines[j], lines[i]];
      else lines[i] = changedLine(lines[i], rng);
      bytes = new TextEncoder().encode(lines.join(kind === 6 && i % 4 === 0 ? "\r\n" : "\n"));
    }
  }
  return bytes;
}

/** The message of a user error, or undefined; any other error fails the test, with the log that caused it. */
async function complaint(work: () => unknown, log: string): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    const input = () => Deno.readTextFileSync(log).replaceAll(/(.)\1{50,}/g, "$1...").slice(0, 20_000);
    assert.ok(error instanceof UserError, `${error instanceof Error ? error.stack : error}\n${input()}`);
    assert.doesNotMatch(error.message, /[\n\r]/);
    assert.ok(error.message.length < 2000, error.message);
    return error.message;
  }
}

/** The expected record of a line: numbers as written, non-finite ones by the status that follows. */
function assertHolds(record: LogRecord, line: string): void {
  const fields = record as unknown as Record<string, unknown>;
  for (const [name, value] of Object.entries(JSON.parse(line)) as [string, unknown][]) {
    if (name === "status" || name.endsWith("_status")) continue;
    // A line with a null that heed never writes is a table's: such nulls are omitted.
    const none = value === null && line.includes('_status":null') ? undefined : null;
    if (value === null) {
      assert.ok([null, none, NaN, Infinity, -Infinity].includes(fields[name] as null), line);
    } else if (typeof value !== "object") assert.equal(fields[name], value, line);
    else assert.equal(typeof fields[name], "object", line);
  }
}

/** The records of a log, and the number of the wrong line after them, if any. */
async function assertReads(log: string, bytes: Uint8Array): Promise<LogRecord[] | undefined> {
  const read: LogRecord[] = [];
  const wrong = await complaint(async () => {
    for await (const record of readLog(log)) read.push(record);
  }, log);
  const split = lineSplitter();
  const lines = [...split(bytes), ...split(null)];
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (const [i, record] of read.entries()) assertHolds(record, strict.decode(lines[i]));
  if (wrong !== undefined) {
    assert.ok(wrong.startsWith(`${log}: line ${read.length + 1}`), wrong);
    return undefined;
  }
  // What follows the last newline may be torn.
  const lineCount = bytes.at(-1) === 10 ? lines.length : lines.length - 1;
  assert.ok(read.length === lineCount || read.length === lines.length, `${read.length} of ${lines.length}`);
  return read;
}

/** A log resumed at step 2 has its records of the first two steps, and then the new ones. */
async function assertResumes(log: string, read: readonly LogRecord[] | undefined): Promise<void> {
  const before = Deno.readFileSync(log);
  const wrong = await complaint(() => {
    using file = openRunLog(log, { step: 2 });
    file.write(recordOf("step", { step: 3 }));
  }, log);
  assert.equal(wrong === undefined, read !== undefined, wrong);
  if (read === undefined) return assert.deepEqual(Deno.readFileSync(log), before);
  const stays = read.filter(({ type, ...rest }) => {
    const { step } = rest as { step?: number | null };
    return type !== "done" && !(typeof step === "number" && step > 2);
  });
  const expected = [...stays, recordOf("step", { step: 3 })].map(formatRecord);
  assert.deepEqual((await Array.fromAsync(readLog(log))).map(formatRecord), expected);
}

const READERS: Readonly<Record<string, (log: string) => Promise<unknown>>> = {
  async summary(log) {
    const summariser = logSummariser();
    for await (const record of readLog(log)) summariser.add(record);
    return summaryLines(summariser.summary());
  },
  async table(log) {
    const write = statWriter("table");
    for await (const row of statRows(readLog(log, { types: ["stat"] }), {}, log)) write(row);
  },
  async csv(log) {
    const [csv, ndjson] = [statWriter("csv"), statWriter("ndjson")];
    const selection = { tap: "**.pattern", stats: ["entropy"], heads: [0], every: 2 };
    for await (const row of statRows(readLog(log, { types: ["stat"] }), selection, log)) {
      csv(row);
      for (const line of ndjson(row).trimEnd().split("\n")) JSON.parse(line);
    }
  },
  async collected(log) {
    const results = await Promise.all((await findLogs(log)).map(runResult));
    const table = resultTable(results.filter((result) => result !== undefined));
    for (const format of ["table", "csv", "ndjson"] as const) formatResults(table, format);
  },
};

const DRAWN: readonly ((log: string) => Promise<unknown>)[] = [
  async (log) => await runReport(readLog(log), { charts: await runCharts(log) }),
  (log) => metricChart([{ name: "a", log }], { show: "loss", second: "lr", x: "seconds" }),
  (log) =>
    metricChart([{ name: "a", log }], { show: { tap: "**", stat: "entropy", heads: [0, 1] }, log: true }),
  async (log) => {
    const result = await runResult(log);
    return result && await resultsChart([result]);
  },
];

Deno.test("2,000 damaged logs: every reader gives the existing records or names the wrong line", async () => {
  const log = await Deno.makeTempFile({ suffix: ".ndjson" });
  try {
    const rng = randomStream(5, "damage to logs");
    let accepted = 0;
    let slowest = 0;
    for (let round = 0; round < 2000; round++) {
      const bytes = damaged(rng);
      await Deno.writeFile(log, bytes);
      const read = await assertReads(log, bytes);
      if (read !== undefined) accepted++;
      const began = performance.now();
      for (const reader of [...Object.values(READERS), DRAWN[round % DRAWN.length]]) {
        await complaint(() => reader(log), log);
      }
      slowest = Math.max(slowest, performance.now() - began);
      // Each waits for the disk.
      if (round % 4 === 0) await assertResumes(log, read);
    }
    // Both cases must occur, otherwise the test is vacuous.
    assert.ok(accepted > 400 && accepted < 1600, `${accepted} of 2000 accepted`);
    // About 20 ms on an idle machine: time that grows with a number in the log would be far longer.
    assert.ok(slowest < 3000, `${slowest} ms`);
  } finally {
    await Deno.remove(log);
  }
});
