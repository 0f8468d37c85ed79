// Tables as aligned lines, as all tasks print them.
import assert from "node:assert/strict";
import { alignedRows } from "../../src/base/table.ts";

Deno.test("columns of a table are right-aligned, or left-aligned without trailing spaces", () => {
  const rows = [["a", "long", "b"], ["xyz", "1", ""]];
  assert.deepEqual(alignedRows(rows), ["  a  long  b", "xyz     1   "]);
  assert.deepEqual(alignedRows(rows, { left: () => true }), ["a    long  b", "xyz  1"]);
  assert.deepEqual(alignedRows(rows, { left: (column) => column === 0 })[0], "a    long  b");
});

Deno.test("a table's columns have a minimum width, all or the first ones, and any gap; no rows give no lines", () => {
  const rows = [["1", "2", "3"]];
  assert.deepEqual(alignedRows(rows, { least: 3, gap: "|" }), ["  1|  2|  3"]);
  assert.deepEqual(alignedRows(rows, { least: [2, 1], gap: "" }), [" 123"]);
  assert.deepEqual(alignedRows([]), []);
});
