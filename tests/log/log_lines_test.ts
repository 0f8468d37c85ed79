// Reading only some types of records: no requested record is lost, skipped lines are not parsed.
import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import { lineSplitter, mayBe, readRecord } from "../../src/log/log_lines.ts";
import { readLog } from "../../src/log/log_file.ts";
import { formatRecord } from "../../src/log/records.ts";
import { recordOf } from "./made_records.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (line: string) => new TextEncoder().encode(line);

async function withFile(content: string, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, content);
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("lineSplitter() gives the same lines for any chunks", () => {
  const content = bytes(`one\n\nthree 漢字 é\n${"x".repeat(50)}\nlast`);
  const expected = text(content).split("\n");
  for (let size = 1; size <= content.length; size++) {
    const split = lineSplitter();
    const chunk = new Uint8Array(size);
    const lines: string[] = [];
    for (let at = 0; at < content.length; at += size) {
      // One buffer for all chunks, as a reader has.
      const piece = content.subarray(at, at + size);
      chunk.set(piece);
      lines.push(...split(chunk.subarray(0, piece.length)).map(text));
    }
    lines.push(...split(null).map(text));
    assert.deepEqual(lines, expected, `cut at ${size}`);
  }
});

Deno.test("mayBe() excludes only lines that begin as heed writes records of another type", () => {
  const selects = mayBe(["step", "eval"]);
  for (
    const line of [
      '{"v":1,"type":"step","step":1}',
      '{"v":2,"type":"step","step":1}',
      '{"v":1,"type":"eval"}',
      '{"v":3,"type":"stat"}',
      '{"v":2,"type":"st\\u0065p"}',
      '{"type":"stat"}',
      "",
      "{",
      '{ "v":1}',
    ]
  ) {
    assert.ok(selects(bytes(line)), line);
  }
  for (
    const line of [
      '{"v":1,"type":"stat","step":1}',
      '{"v":2,"type":"stat","tap":"\\u00e9"}',
      '{"v":1,"type":"steps"}',
      '{"v":1,"type":"st',
    ]
  ) {
    assert.ok(!selects(bytes(line)), line);
  }
});

Deno.test("readLog() with types equals a filter of all records, also for lines in other formats", async () => {
  const records = [
    recordOf("run"),
    recordOf("step", { loss: NaN, lr: Infinity }),
    recordOf("stat", { tap: "status", mean: 0.5 }),
    recordOf("eval"),
    recordOf("done"),
  ];
  const spaced = formatRecord(recordOf("step", { loss: NaN })).replaceAll(/[:,]/g, "$& ");
  const log = [...records.map(formatRecord), spaced, '{"v":1,"type":"step","step":3'].join("\n");
  await withFile(log, async (path) => {
    const all = await Array.fromAsync(readLog(path));
    assert.equal(all.length, 6);
    for (const types of [[], ["step"], ["run", "stat"], ["eval", "done", "step"], ["none"]]) {
      const expected = all.filter(({ type }) => types.includes(type));
      assert.deepEqual(await Array.fromAsync(readLog(path, { types })), expected, types.join());
    }
    assert.ok(Object.is((all[1] as { loss: number }).loss, NaN));
  });
});

Deno.test("readLog() with types reports lines that are not records, and does not check those it skips", async () => {
  const good = `${formatRecord(recordOf("step"))}\n`;
  await withFile(`${good}{"v":1,"type":"stat",oops}\n${good}`, async (path) => {
    assert.equal((await Array.fromAsync(readLog(path, { types: ["step"] }))).length, 2);
    await assert.rejects(Array.fromAsync(readLog(path)), /line 2 is not a record/);
  });
  await withFile(`${good}oops\n${good}`, async (path) => {
    await assert.rejects(Array.fromAsync(readLog(path, { types: ["step"] })), /line 2 is not a record/);
  });
});

Deno.test("readRecord() names the line and the field that is missing or of the wrong type", () => {
  const nested = (open: string, close: string) => open.repeat(100_000) + close.repeat(100_000);
  const faults: [string, string][] = [
    [formatRecord(recordOf("step", { loss: "x" as never })), 'loss: expected a number, found "x".'],
    [
      formatRecord(recordOf("step")).replace('"lr":0.001,', ""),
      "lr: expected a number, found nothing.",
    ],
    [
      formatRecord(recordOf("step", { step: -1 })),
      "step: expected a whole number of at least 0, found -1.",
    ],
    [
      formatRecord(recordOf("stat", { head: 0.5 })),
      "head: expected a whole number of at least 0 or null, found 0.5.",
    ],
    [
      formatRecord(recordOf("stat", { mean: {} as never })),
      "mean: expected a number, text or null, found a mapping.",
    ],
    [
      '{"v":1,"type":"eval","step":1,"split":"val","loss":null,"status":"constructor"}',
      "loss: expected a number, found null.",
    ],
    [
      formatRecord(recordOf("run", { device: { kind: "cpu" } as never })),
      "device: expected an object of kind (text), adapter (text or null), software (true or false), found a mapping.",
    ],
    [formatRecord(recordOf("done")).replace('"v":2', '"v":3'), "v: expected 1 or 2, found 3."],
    [
      `{"v":1,"type":"own","x":${nested("[", "]")},"status":"nan"}`,
      "expected at most 64 lists and objects within one another.",
    ],
    [
      `{"v":1,"type":"own","x":${nested('{"a":', "}").replace(":}", ":1}")}}`,
      "expected at most 64 lists and objects within one another.",
    ],
  ];
  for (const [line, message] of faults) {
    const expected = new UserError(`a.ndjson: line 7: ${message}`);
    // A line that is JSON was not torn.
    for (const torn of [false, true]) {
      assert.throws(() => readRecord(bytes(line), "a.ndjson", 7, torn), expected);
    }
  }
  const wrong = Uint8Array.of(...bytes('{"v":1,"type":"x'), 0xff, ...bytes('"}'));
  assert.throws(() => readRecord(wrong, "a", 2, false), new UserError("a: line 2 is not UTF-8."));
  assert.equal(readRecord(wrong, "a", 2, true), undefined);
});

Deno.test("readRecord() does not check unknown types, nor keys that objects inherit", () => {
  const line =
    '{"v":1,"type":"own","step":"x","a":null,"status":"nan","__proto__":{"b":null,"status":"constructor"}}';
  const record = readRecord(bytes(line), "a", 1, false) as unknown as Record<string, unknown>;
  assert.deepEqual(Object.entries(record), [["v", 1], ["type", "own"], ["step", "x"], ["a", NaN], [
    "__proto__",
    {
      b: null,
      status: "constructor",
    },
  ]]);
});

Deno.test("a JSON array, or a line that cannot begin a record, is reported if it is the only line", async () => {
  const messageOf = async (content: string) => {
    let message = "read";
    await withFile(content, async (path) => {
      try {
        for (const types of [undefined, ["stat"]]) await Array.fromAsync(readLog(path, { types }));
      } catch (error) {
        assert.ok(error instanceof UserError);
        message = error.message.replace(`${path}: `, "");
      }
    });
    return message;
  };
  const array = "line 1 begins a JSON array, expected a record on each line, as jq -c '.[]' writes it.";
  const none = 'line 1 is not a record, expected a JSON object with "v" and "type".';
  for (const content of ['[{"v":1,"type":"step"}]', "[", '[\n{"v":1}\n]\n', ' [{"v":2}']) {
    assert.equal(await messageOf(content), array, content);
  }
  for (const content of ['{"a":1}', "hello", "12", '"v"']) {
    assert.equal(await messageOf(content), none, content);
  }
  assert.equal(await messageOf("\xff\xfe".repeat(3)), none);
  // Torn: a run that was killed while it wrote its first record.
  for (const content of ["", "{", '{"v":2,"type":"run","na']) {
    assert.equal(await messageOf(content), "read", content);
  }
});
