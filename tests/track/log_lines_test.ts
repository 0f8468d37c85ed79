// Reading some types of records only: nothing that is asked for is lost, what is passed over is not parsed.
import assert from "node:assert/strict";
import { lineSplitter, mayBe } from "../../src/track/log_lines.ts";
import { formatRecord, type LogRecord, readLog } from "../../src/track/records.ts";

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

Deno.test("lineSplitter() gives the same lines however the bytes are cut", () => {
  const whole = bytes(`one\n\nthree 漢字 é\n${"x".repeat(50)}\nlast`);
  const expected = text(whole).split("\n");
  for (let size = 1; size <= whole.length; size++) {
    const split = lineSplitter();
    const chunk = new Uint8Array(size);
    const lines: string[] = [];
    for (let at = 0; at < whole.length; at += size) {
      // One buffer for all chunks, as a reader has.
      const piece = whole.subarray(at, at + size);
      chunk.set(piece);
      lines.push(...split(chunk.subarray(0, piece.length)).map(text));
    }
    lines.push(...split(null).map(text));
    assert.deepEqual(lines, expected, `cut at ${size}`);
  }
});

Deno.test("mayBe() passes over only what begins as heed writes records and names another type", () => {
  const wanted = mayBe(["step", "eval"]);
  for (
    const line of [
      '{"v":1,"type":"step","step":1}',
      '{"v":1,"type":"eval"}',
      '{"type":"stat"}',
      "",
      "{",
      '{ "v":1}',
    ]
  ) {
    assert.ok(wanted(bytes(line)), line);
  }
  for (const line of ['{"v":1,"type":"stat","step":1}', '{"v":1,"type":"steps"}', '{"v":1,"type":"st']) {
    assert.ok(!wanted(bytes(line)), line);
  }
});

Deno.test("readLog() with types gives what a filter of all records gives, also of lines written otherwise", async () => {
  const records = [
    { type: "run", name: "a" },
    { type: "step", step: 1, loss: NaN, lr: Infinity },
    { type: "stat", step: 1, kind: "act", tap: "status", layer: null, head: null, mean: 0.5 },
    { type: "eval", step: 1, split: "val", loss: 2 },
    { type: "done", step: 1 },
  ] as unknown as LogRecord[];
  const spaced = '{ "v": 1, "type": "step", "step": 2, "loss": null, "status": "nan" }';
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

Deno.test("readLog() with types tells of a line that is no record, and does not look into those it passes over", async () => {
  const good = '{"v":1,"type":"step","step":1}\n';
  await withFile(`${good}{"v":1,"type":"stat",oops}\n${good}`, async (path) => {
    assert.equal((await Array.fromAsync(readLog(path, { types: ["step"] }))).length, 2);
    await assert.rejects(Array.fromAsync(readLog(path)), /line 2 is not a record/);
  });
  await withFile(`${good}oops\n${good}`, async (path) => {
    await assert.rejects(Array.fromAsync(readLog(path, { types: ["step"] })), /line 2 is not a record/);
  });
});
