// The log's records as bytes, the writer on disks that are full and on runs that are resumed, the reader on torn logs.

import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { UserError } from "../../src/base/errors.ts";
import { openLog, readLog } from "../../src/log/log_file.ts";
import { openRunLog } from "../../src/log/run_log.ts";
import {
  type EvalRecord,
  formatRecord,
  type LogRecord,
  type StatRecord,
  type StepRecord,
} from "../../src/log/records.ts";

function step(number: number, loss = 1 / number): StepRecord {
  return {
    // Not in the format's order, which formatRecord() must restore.
    loss,
    type: "step",
    tokens: number * 64,
    samples: number * 2,
    step: number,
    counter: number * 3,
    epoch: 0.1 + 0.2,
    lr: 1e-3 / 3,
    grad_norm: 123456789.125,
    clipped: false,
    ms: 2.5,
    tokens_per_s: 2 ** 53 - 1,
  };
}

/** The records of a run of `last` steps after step `done`. */
function* recordsOf(last: number, done = 0): Generator<LogRecord> {
  if (done === 0) {
    yield {
      type: "run",
      name: "small",
      time: "2025-01-02T03:04:05Z",
      heed: "0.1.0",
      deno: "2.9.6",
      device: { kind: "cpu", adapter: null, software: true },
      seed: 1,
      config: { "10": [1, { lr: 1 / 3 }], name: "é" },
      parameters: 10,
      tokens_per_step: 64,
      memory: { parameters: 40, optimizer: 80, activations: 1, total: 121 },
      git: null,
    };
  }
  for (let number = done + 1; number <= last; number++) {
    yield step(number);
    if (number % 3 === 0) {
      yield {
        type: "eval",
        step: number,
        split: "val",
        loss: NaN,
        perplexity: Infinity,
        accuracy: 0,
        tokens: 9,
      };
      yield { type: "checkpoint", step: number, path: `checkpoints/${number}`, sha256: "ab", val_loss: 1.5 };
    }
  }
  yield { type: "done", step: last, seconds: 1, best: { step: 3, val_loss: 1.5 }, files: ["log.ndjson"] };
}

async function inTemporaryFolder(body: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-records-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function isUserError(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof UserError, `${error}`);
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  };
}

Deno.test("formatRecord() writes v, type, then the format's order, with 9 digits and exact integers", () => {
  assert.equal(
    formatRecord(step(3)),
    '{"v":2,"type":"step","step":3,"samples":6,"tokens":192,"counter":9,"epoch":0.3,"loss":0.333333333,' +
      '"lr":0.000333333333,"grad_norm":123456789,"clipped":false,"ms":2.5,"tokens_per_s":9007199254740991}',
  );
  const run = [...recordsOf(0)][0];
  assert.equal(
    formatRecord(run),
    '{"v":2,"type":"run","name":"small","time":"2025-01-02T03:04:05Z","heed":"0.1.0","deno":"2.9.6",' +
      '"device":{"kind":"cpu","adapter":null,"software":true},"seed":1,' +
      '"config":{"10":[1,{"lr":0.333333333}],"name":"é"},"parameters":10,"tokens_per_step":64,' +
      '"memory":{"parameters":40,"optimizer":80,"activations":1,"total":121},"git":null}',
  );
});

Deno.test("formatRecord() keeps additional fields in their order after the type's, and omits undefined ones", () => {
  const record: EvalRecord = {
    ...{
      type: "eval",
      answer_accuracy: 0.5,
      step: 1,
      split: "val",
      loss: 1,
      perplexity: 2,
      accuracy: 0,
      tokens: 4,
    },
  } as EvalRecord;
  assert.match(formatRecord(record), /"accuracy":0,"tokens":4,"answer_accuracy":0\.5}$/);
  const stat = {
    type: "stat",
    mean: 1,
    step: 1,
    kind: "act",
    tap: "embed",
    layer: null,
    head: null,
  } as StatRecord;
  assert.equal(
    formatRecord(stat),
    '{"v":2,"type":"stat","step":1,"kind":"act","tap":"embed","layer":null,"head":null,"mean":1}',
  );
  assert.ok(!formatRecord({ ...stat, max: undefined } as unknown as LogRecord).includes("max"));
});

Deno.test("formatRecord() writes numbers that are not finite as null with a status, each key once", () => {
  assert.match(formatRecord(step(1, -Infinity)), /"loss":null,"loss_status":"-inf","lr":/);
  const stat = {
    type: "stat",
    step: 1,
    kind: "act",
    tap: "x",
    layer: 0,
    head: null,
    mean: NaN,
    max: Infinity,
  };
  const line = formatRecord({ ...stat, ci95: [0, NaN] } as unknown as LogRecord);
  assert.match(
    line,
    /"head":null,"mean":null,"mean_status":"nan","max":null,"max_status":"inf","ci95":\[0,null\],"ci95_status":\[null,"nan"\]}$/,
  );
});

Deno.test("readLog() gives back what was written, numbers that are not finite too", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/log.ndjson`;
    const records = [
      ...recordsOf(7),
      { ...step(8, NaN), lr: -Infinity, extra: [1, NaN] },
      { ...step(9), config: { a: Infinity, b: { c: NaN, status: "own" } } },
    ] as LogRecord[];
    {
      using log = openLog(path);
      for (const record of records) log.write(record);
    }
    const read = await Array.fromAsync(readLog(path));
    assert.deepEqual(read.map(formatRecord), records.map(formatRecord));
    const last = read.slice(-2) as unknown as Record<string, unknown>[];
    assert.ok(Number.isNaN(last[0].loss) && last[0].lr === -Infinity && !("status" in last[0]));
    assert.deepEqual(last[0].extra, [1, NaN]);
    assert.deepEqual(last[1].config, { a: Infinity, b: { c: NaN, status: "own" } });
  }));

Deno.test("a log resumed at any step after a cut at any byte equals an uninterrupted run's", () =>
  inTemporaryFolder((folder) => {
    const path = `${folder}/log.ndjson`;
    const content = [...recordsOf(10)].map((record) => formatRecord(record) + "\n").join("");
    const bytes = new TextEncoder().encode(content);
    const random = randomStream(1, "cuts of a log");
    for (let trial = 0; trial < 60; trial++) {
      const from = 3 * random.below(4);
      const upTo = from === 0
        ? content.indexOf("\n") + 1
        : content.indexOf("\n", content.indexOf(`checkpoints/${from}"`)) + 1;
      const least = new TextEncoder().encode(content.slice(0, upTo)).length;
      // Only the newline may be lost: then the last line is still complete.
      Deno.writeFileSync(path, bytes.subarray(0, least - 1 + random.below(bytes.length - least + 2)));
      using log = openRunLog(path, { step: from });
      for (const record of recordsOf(10, from)) if (record.type !== "run") log.write(record);
      assert.equal(Deno.readTextFileSync(path), content, `trial ${trial}, resumed at ${from}`);
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["log.ndjson"]);
  }));

Deno.test("openRunLog() appends, and resumes a missing log as an empty one", () =>
  inTemporaryFolder((folder) => {
    for (const from of [{ step: 0 }, undefined]) {
      using log = openRunLog(`${folder}/log.ndjson`, from);
      log.write({ type: "warning", step: null, code: "a", message: "b", tap: null });
    }
    assert.equal(
      Deno.readTextFileSync(`${folder}/log.ndjson`),
      '{"v":2,"type":"warning","step":null,"code":"a","message":"b","tap":null}\n'.repeat(2),
    );
  }));

Deno.test("a malformed line inside a log is a UserError with its number, for reading and for resuming", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/log.ndjson`;
    for (const bad of ['{"v":2,"type":"st', "", "[1]", "null", '{"type":1}']) {
      const text = `${formatRecord(step(1))}\n${bad}\n${formatRecord(step(2))}\n`;
      Deno.writeTextFileSync(path, text);
      await assert.rejects(
        Array.fromAsync(readLog(path)),
        isUserError(/log\.ndjson: line 2 is not a record/),
      );
      assert.throws(
        () => openRunLog(path, { step: 2 }),
        isUserError(/log\.ndjson: line 2 is not a record/),
      );
      assert.equal(Deno.readTextFileSync(path), text);
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map((entry) => entry.name), ["log.ndjson"]);
  }));

Deno.test("readLog() skips a torn last line, also one cut inside a character, and reads long lines", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/log.ndjson`;
    const long: LogRecord = { type: "warning", step: 1, code: "é".repeat(200_000), message: "", tap: null };
    const torn = new TextEncoder().encode('{"v":2,"type":"warning","code":"é').subarray(0, -1);
    Deno.writeTextFileSync(path, `${formatRecord(long)}\n${formatRecord(step(1))}\n`);
    Deno.writeFileSync(path, torn, { append: true });
    const read = await Array.fromAsync(readLog(path));
    assert.equal(read.length, 2);
    assert.deepEqual({ ...read[0] }, { v: 2, ...long });
  }));

Deno.test("readLog() and openLog() report a file that cannot be used in one line", () =>
  inTemporaryFolder(async (folder) => {
    const missing = `${folder}/nothing/log.ndjson`;
    await assert.rejects(
      Array.fromAsync(readLog(missing)),
      isUserError(/nothing\/log\.ndjson: No such file or directory/),
    );
    await assert.rejects(Array.fromAsync(readLog(folder)), isUserError(/: Is a directory/));
    assert.throws(() => openLog(missing), isUserError(/nothing\/log\.ndjson: No such file or directory/));
  }));

Deno.test("readLog() of a log of 64 MB holds a few MB at a time", () =>
  inTemporaryFolder(async (folder) => {
    const path = `${folder}/log.ndjson`;
    const block = `${formatRecord(step(1))}\n`.repeat(5000);
    const blocks = Math.ceil(64e6 / block.length);
    {
      using file = Deno.openSync(path, { append: true, create: true });
      for (let i = 0; i < blocks; i++) file.writeSync(new TextEncoder().encode(block));
    }
    let count = 0;
    let most = 0;
    const before = Deno.memoryUsage().heapUsed;
    for await (const _ of readLog(path)) {
      if (++count % 5000 === 0) most = Math.max(most, Deno.memoryUsage().heapUsed);
    }
    assert.equal(count, blocks * 5000);
    // Garbage not yet collected is counted too: 40 MB is far above that and far below 64 MB of text as objects.
    assert.ok(most - before < 40e6, `${most - before} bytes more`);
  }));

/** Runs a program that imports the records with `sh`, for a child has the permissions that /dev/full asks for. */
async function runProgram(program: string, redirect: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "heed-records-" });
  try {
    const records = new URL("../../src/log/log_file.ts", import.meta.url).href;
    await Deno.writeTextFile(
      `${folder}/program.ts`,
      `import * as r from ${JSON.stringify(records)};\n${program}`,
    );
    const command = `"${Deno.execPath()}" run -A --no-config "${folder}/program.ts" ${redirect}`;
    const { stderr } = await new Deno.Command("sh", { args: ["-c", command], stdout: "null" }).output();
    return new TextDecoder().decode(stderr).trim();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const WARN = '{ type: "warning", step: 1, code: "c", message: "m", tap: null }';
const TELL = "catch (error) { console.error(error.name + '|' + error.message); }";

Deno.test({
  name: "a full disk is a UserError with the path, from a log file and from the standard output",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const file = await runProgram(`try { r.openLog("/dev/full").write(${WARN}); } ${TELL}`, "");
    assert.equal(file, "UserError|/dev/full: No space left on device.");
    const output = await runProgram(`try { r.stdoutLog().write(${WARN}); } ${TELL}`, "> /dev/full");
    assert.equal(output, "UserError|standard output: No space left on device.");
  },
});

Deno.test({
  name: "stdoutLog() throws ClosedPipe when its reader has closed the pipe",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const program = `const log = r.stdoutLog(); try { for (;;) log.write(${WARN}); } ${TELL}`;
    assert.equal(
      await runProgram(program, "| head -n 1"),
      "ClosedPipe|The reader of the standard output has gone.",
    );
  },
});
