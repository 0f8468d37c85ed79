// Untrusted text, made safe for a terminal.
import assert from "node:assert/strict";
import { cellText, escapeControls, messageLine } from "../../src/base/terminal.ts";
import { formatResults } from "../../src/log/results.ts";

Deno.test("C0, C1 and bidirectional controls are escaped everywhere in a text", () => {
  const controls = [
    0x00,
    0x07,
    0x1b,
    0x7f,
    0x80,
    0x9b,
    0x9f,
    0x61c,
    0x200e,
    0x200f,
    0x202a,
    0x202e,
    0x2066,
    0x2069,
  ];
  for (const code of controls) {
    const control = String.fromCharCode(code);
    for (const shown of [escapeControls(control), messageLine(control), cellText(control)]) {
      assert.match(shown, /^\\(u[0-9a-f]{4}|[bfrnt])$/, code.toString(16));
    }
  }
});

Deno.test("a name of a megabyte is truncated in a message and in the cells of a table", () => {
  const long = "k".repeat(1e6);
  assert.ok(messageLine(long).length <= 500);
  assert.ok(cellText(long).length <= 300);
  const rows = Array.from({ length: 100 }, (_, n) => [n === 0 ? long : `key ${n}`, n]);
  const table = formatResults({ columns: [long, "value"], rows }, "table");
  assert.ok(table.length < 101 * 320, `${table.length} characters`);
});
