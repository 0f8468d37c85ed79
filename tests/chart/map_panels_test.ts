// Sheets of attention maps: panels, labels and colours.
import assert from "node:assert/strict";
import { HEAT_COLOURS } from "../../src/chart/colour_scale.ts";
import { mapSheet } from "../../src/chart/map_panels.ts";

const SHEET = {
  title: "Attention <by> head",
  rows: ["a", " "],
  columns: ["a", " ", "extra 0"],
  value: { label: "weight" },
  range: [0, 1] as const,
  across: 2,
};
const values = [[1, 0, 0], [0.5, 0.5, 0]];

Deno.test("mapSheet() draws each panel with its title, row and column labels and the colours of its numbers", () => {
  const panels = [0, 1, 2].map((head) => ({ title: `head ${head}`, values }));
  const svg = mapSheet({ ...SHEET, panels });
  assert.equal(mapSheet({ ...SHEET, panels }), svg, "equal sheets give equal bytes");
  assert.ok(svg.startsWith("<svg ") && svg.includes("Attention &lt;by&gt; head"));
  for (const { title } of panels) assert.equal(svg.split(`>${title}<`).length, 2);
  for (const [label, times] of [["a", 6], ["␣", 6], ["extra␣0", 3]] as const) {
    assert.equal(svg.split(`>${label}<`).length - 1, times, label);
  }
  // 1 is the darkest, 0 the palest, 0.5 the middle level: two adjacent cells are one stroke.
  for (const [path, level] of [["M0,0h1", 63], ["M1,0h2M2,1h1", 0], ["M0,1h2", 32]] as const) {
    assert.equal(svg.split(`<path d="${path}" stroke="${HEAT_COLOURS[level]}"/>`).length - 1, 3, path);
  }
});

Deno.test("mapSheet() hatches values that are not finite, and joins no cells across them", () => {
  const svg = mapSheet({ ...SHEET, panels: [{ title: "x", values: [[1, NaN, 1], [0.5, Infinity, NaN]] }] });
  assert.ok(svg.includes(`<path d="M0,0h1M2,0h1" stroke="${HEAT_COLOURS[63]}"/>`));
  assert.ok(svg.includes(`<path d="M0,1h1" stroke="${HEAT_COLOURS[32]}"/>`));
  // One cell of the first row, two adjacent cells of the second.
  const [, hatch] = /<pattern id="([^"]+)"/.exec(svg)!;
  const hatched = [...svg.matchAll(/<path d="([^"]+)" fill="url\(#([^)]+)\)"/g)];
  assert.deepEqual(hatched.map(([_, path, by]) => [path.match(/M/g)!.length, by]), [[2, hatch]]);
  assert.equal(svg.match(/<path d="M/g)!.length, 3);
  const blank = mapSheet({ ...SHEET, panels: [{ title: "x", values: [[1, 1, 1], [0, 0, 0]] }] });
  assert.ok(!blank.includes("<pattern"), "a sheet without gaps defines no hatching");
});

Deno.test("mapSheet() of a long text labels every k-th token and states it, and refuses panels of another shape", () => {
  const tokens = Array.from({ length: 100 }, (_, n) => `t${n}`);
  const panels = [{ title: "long", values: tokens.map(() => new Float64Array(100)) }];
  const svg = mapSheet({ ...SHEET, rows: tokens, columns: tokens, panels });
  const drawn = svg.match(/>t\d+</g)!.length;
  assert.ok(drawn > 10 && drawn < 80, `${drawn} labels`);
  assert.ok(svg.includes(">weight; every 3rd labelled<"), svg.match(/>weight[^<]*</)?.[0]);
  const short = mapSheet({ ...SHEET, panels: [{ title: "x", values: [[1, 1, 1], [0, 0, 0]] }] });
  assert.ok(!short.includes("labelled"));
  assert.throws(
    () => mapSheet({ ...SHEET, panels }),
    /A sheet of 2 x 3 has no panel, or one of another shape/,
  );
  assert.throws(() => mapSheet({ ...SHEET, panels: [] }), /has no panel/);
});

Deno.test("mapSheet() leaves masked cells blank, and shows signed numbers in colours that diverge from 0", () => {
  const panels = [{
    title: "x",
    values: [[1, 0.5, 0], [-1, 0, -99]],
    blank: (i: number, j: number) => j > i,
  }];
  const svg = mapSheet({ ...SHEET, range: [-1, 1], panels });
  const paths = [...svg.matchAll(/<path d="(M[^"]+)" stroke="(#\w+)"/g)].map((
    [, path, colour],
  ) => [path, colour]);
  assert.deepEqual(paths.map(([path]) => path), ["M0,1h1", "M1,1h1", "M0,0h1"]);
  const [blue, grey, red] = paths.map(([, colour]) =>
    [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16))
  );
  assert.ok(blue[2] > blue[0] && red[0] > red[2] && grey[0] === grey[2], `${paths}`);
  assert.ok(!svg.includes("<pattern"));
});

Deno.test("the colour bar of a sheet is no longer than a panel is wide", () => {
  for (const count of [1, 3, 40]) {
    const tokens = Array.from({ length: count }, (_, n) => `t${n}`);
    const panels = [{ title: "p", values: tokens.map(() => new Float64Array(count)) }];
    const svg = mapSheet({ ...SHEET, rows: tokens, columns: tokens, panels });
    const bar = [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="10" fill="#/g)];
    const end = Math.max(...bar.map(([, x, width]) => Number(x) + Number(width))) - Number(bar[0][1]);
    const wide = Number(/width="([\d.]+)" height="[\d.]+" fill="none"/.exec(svg)![1]);
    assert.ok(bar.length > 60 && end <= wide + 0.2, `${end} over ${wide}`);
  }
});
