// The tables of statistics: the sums they name exist in the kernels, and no kernel hard-codes a column number.
import assert from "node:assert/strict";
import { ATTENTION_GRADIENT_TABLE } from "../../kernels/attention_statistics/gradient.ts";
import { ATTENTION_TABLE, columnsOf } from "../../kernels/attention_statistics/table.ts";
import { headsCharts } from "../../src/chart/heads_chart.ts";
import { axisLabel } from "../../src/chart/metric_chart.ts";

const ROOMS = ["attention_statistics", "statistics"].map((name) =>
  new URL(`../../kernels/${name}/`, import.meta.url)
);

const source = (file: string): Promise<string> => Deno.readTextFile(new URL(file, ROOMS[0]));

Deno.test("every sum that a column of attention's statistics names is computed by a kernel", async () => {
  const merge = await source("merge.wgsl");
  const tables = { "statistics.wgsl": ATTENTION_TABLE, "gradient.wgsl": ATTENTION_GRADIENT_TABLE };
  for (const [file, table] of Object.entries(tables)) {
    const code = merge + await source(file);
    for (const [i, column] of columnsOf(table).entries()) {
      for (const name of column.match(/(?<=sums\.)\w+/g) ?? []) {
        assert.match(code, new RegExp(`\\.${name} \\+?= `), `${Object.keys(table)[i]}: sums.${name}`);
      }
    }
  }
});

Deno.test("no kernel of statistics hard-codes column numbers", async () => {
  for (const room of ROOMS) {
    for await (const { name } of Deno.readDir(room)) {
      const text = name.endsWith(".wgsl") ? await Deno.readTextFile(new URL(name, room)) : "";
      assert.doesNotMatch(text, /\[(out|at)( \+ \d+u)?\] =/, name);
    }
  }
});

Deno.test("charts of heads are those that the table of attention's statistics asks for, titles of axes its labels", () => {
  const charts = headsCharts();
  const about = {
    type: "stat",
    step: 1,
    kind: "act",
    tap: "blocks.0.attn.pattern",
    layer: 0,
    head: 0,
  } as const;
  charts.add({ ...about, ...Object.fromEntries(Object.keys(ATTENTION_TABLE).map((name) => [name, 1])) });
  const asked = Object.keys(ATTENTION_TABLE).filter((name) => ATTENTION_TABLE[name].chart);
  assert.deepEqual(
    Object.keys(charts.draw("run")).sort(),
    asked.flatMap((name) => [`heads_${name}.svg`, `heads_${name}_last.svg`]).sort(),
  );
  for (const [name, { label }] of Object.entries(ATTENTION_TABLE)) {
    if (label) assert.equal(axisLabel(name), label);
  }
});
