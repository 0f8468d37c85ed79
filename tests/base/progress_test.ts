// Progress without a terminal: its text, width and timing.
import assert from "node:assert/strict";
import { columnsOf, cutToColumns } from "../../src/base/columns.ts";
import {
  activityText,
  endProgress,
  leadProgress,
  reportProgress,
  showProgress,
} from "../../src/base/progress.ts";

Deno.test("columns are terminal columns: wide characters two, combining marks none", () => {
  const widths: [string, number][] = [
    ["loss 1.2", 8],
    ["漢字", 4],
    ["e\u0301", 1],
    ["né", 2],
    ["ｆｕｌｌ", 8],
    ["한국어", 6],
    ["😀", 2],
    ["a\u200bb", 2],
    ["a\u00adb", 3],
    ["", 0],
  ];
  for (const [text, columns] of widths) assert.equal(columnsOf(text), columns, text);
});

Deno.test("a text is cut to columns between characters, never before a combining mark", () => {
  assert.equal(cutToColumns("evaluating 3/4", 14), "evaluating 3/4");
  assert.equal(cutToColumns("evaluating 3/4", 13), "evaluating...");
  assert.equal(cutToColumns("漢字漢字漢字", 8), "漢字...");
  assert.equal(cutToColumns("ne\u0301e\u0301e", 4), "ne\u0301e\u0301e");
  assert.equal(cutToColumns("ne\u0301e\u0301ee", 4), "n...");
  assert.equal(cutToColumns("ne\u0301e\u0301eee", 5), "ne\u0301...");
  assert.equal(cutToColumns("abcd", 2), "..");
  assert.equal(cutToColumns("abcd", 0), "");
  assert.equal(cutToColumns("abcd", -3), "");
});

Deno.test("an activity is shown with its progress and the remaining time", () => {
  const begun = { at: 1000, done: 2 };
  const text = (activity: object, now = 5000) => activityText({ what: "x", ...activity }, begun, now);
  assert.equal(text({}), "x");
  assert.equal(text({ done: 12, total: 50 }), "x 12/50  15 s left");
  assert.equal(text({ done: 12, total: 50 }, 1900), "x 12/50");
  assert.equal(text({ done: 3, total: 502 }), "x 3/502  33 min left");
  assert.equal(text({ done: 3, total: 10002 }), "x 3/10002  11 h left");
  assert.equal(text({ done: 2, total: 50 }), "x 2/50");
  assert.equal(text({ done: 60, total: 50, note: "loss 2" }), "x 60/50  loss 2");
  assert.equal(text({ done: 1234567, total: 45600000, bytes: true, note: "" }), "x 1.2 MiB of 43.5 MiB  ");
  assert.equal(text({ done: 5, bytes: true }, 1000), "x 5 bytes");
  assert.equal(text({ done: 0, total: 2400, bytes: true }, 1000), "x 0 bytes of 2.3 KiB");
  assert.equal(text({ what: "reading \x1b[2Ja\n" }), "reading \\u001b[2Ja\\n");
});

/** The stderr output of `body`, under a clock that it sets. */
function plainLines(body: (at: (seconds: number) => void) => void): string[] {
  const { now } = performance;
  const written: string[] = [];
  let clock = 0;
  performance.now = () => clock;
  Deno.stderr.writeSync = (bytes: Uint8Array) => {
    written.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    showProgress("plain");
    body((seconds) => clock = 1000 * seconds);
  } finally {
    endProgress();
    performance.now = now;
    delete (Deno.stderr as { writeSync?: unknown }).writeSync;
  }
  return written;
}

Deno.test("without a terminal there is a plain line every five seconds, and none before", () => {
  const written = plainLines((at) => {
    for (let step = 0; step < 140; step++) {
      at(step / 10);
      reportProgress({ what: "evaluating", done: step, total: 140 });
    }
    leadProgress("2/6 name\n  ");
    at(16);
    reportProgress({ what: "sampling" });
  });
  assert.deepEqual(written, [
    "evaluating 50/140  9.0 s left\n",
    "evaluating 100/140  4.0 s left\n",
    "2/6 name\\n  sampling\n",
  ]);
  assert.deepEqual(plainLines(() => endProgress()), []);
});

Deno.test("a closed standard error does not end the work", () => {
  const written = plainLines((at) => {
    Deno.stderr.writeSync = () => {
      throw new Deno.errors.BrokenPipe("gone");
    };
    at(6);
    reportProgress({ what: "sampling" });
    at(12);
    reportProgress({ what: "sampling" });
  });
  assert.deepEqual(written, []);
});
