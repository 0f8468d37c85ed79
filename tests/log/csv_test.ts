// CSV cells in spreadsheets: possible formulas are text, and numbers stay numbers.
import assert from "node:assert/strict";
import { formatResults } from "../../src/log/results.ts";
import { statWriter } from "../../src/log/stat_formats.ts";

Deno.test("a cell that a spreadsheet would run as a formula has an apostrophe before it, a number has none", () => {
  const cases: [string | number | null, string][] = [
    ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
    ["=1+1", "'=1+1"],
    ["+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"],
    ["-2+3", "'-2+3"],
    ["@SUM(A1)", "'@SUM(A1)"],
    ["\t=1", "'\t=1"],
    ["\r=1", `"'\r=1"`],
    ["\n=1", `"'\n=1"`],
    ["\uff1d1", "'\uff1d1"],
    ["-1.5", "-1.5"],
    ["+3e-4", "+3e-4"],
    [-1.5, "-1.5"],
    [-1e-7, "-1e-7"],
    [-Infinity, "-inf"],
    ["a=b", "a=b"],
    [null, ""],
  ];
  for (const [value, expected] of cases) {
    const csv = formatResults({ columns: ["a"], rows: [[value]] }, "csv");
    assert.equal(csv, `a\n${expected}\n`, JSON.stringify(value));
  }
  // A run's names head columns too.
  assert.equal(formatResults({ columns: ["=A"], rows: [] }, "csv"), "'=A\n");
});

Deno.test("statistics as CSV: names of a user's metrics are no formulas either", () => {
  const row = { step: 1, kind: "metric", tap: "=cmd()", layer: null, head: null, statistics: [["@x", -0.5]] };
  assert.equal(
    statWriter("csv")(row as never),
    "step,kind,tap,layer,head,stat,value\n1,metric,'=cmd(),,,'@x,-0.5\n",
  );
});
