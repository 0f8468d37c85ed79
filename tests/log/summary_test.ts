// Statistics from a streamed log: selected rows, their formats, the summary.
import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import type { LogRecord, StepRecord } from "../../src/log/records.ts";
import { shortNumber, statWriter } from "../../src/log/stat_formats.ts";
import { type StatRow, statRows, type StatSelection } from "../../src/log/stat_rows.ts";
import { logSummariser, summaryLines } from "../../src/log/summary.ts";

function stat(
  step: number,
  kind: string,
  tap: string,
  head: number | null,
  values: Record<string, number | null>,
): LogRecord {
  const layer = /^blocks\.(\d+)\./.exec(tap);
  return { type: "stat", step, kind, tap, layer: layer && Number(layer[1]), head, ...values };
}

function stepOf(step: number, loss: number): StepRecord {
  return {
    type: "step",
    step,
    samples: step,
    tokens: step,
    counter: step,
    epoch: 0,
    loss,
    lr: 1,
    grad_norm: 1,
    clipped: false,
    ms: 1,
    tokens_per_s: 1,
  };
}

/** Every 10 steps: a tensor, two blocks of two heads with their mean, and a gradient. */
function* tracked(last = 30): Generator<LogRecord> {
  for (let step = 10; step <= last; step += 10) {
    yield stepOf(step, 100 / step);
    yield stat(step, "act", "embed", null, { mean: step, max: 2 * step });
    for (const block of [0, 1]) {
      const tap = `blocks.${block}.attn.pattern`;
      for (const head of [0, 1]) yield stat(step, "act", tap, head, { entropy: step + head, sink: 0.5 });
      yield stat(step, "act", tap, null, { entropy: step, sink: 0.5, sink_heads: 1 });
    }
    yield stat(step, "grad", "embed", null, { mean: -step, max: 0 });
  }
}

async function rowsOf(
  selection: StatSelection,
  records: Iterable<LogRecord> = tracked(),
): Promise<StatRow[]> {
  return await Array.fromAsync(statRows(ReadableStream.from(records), selection, "log.ndjson"));
}

/** `10 act embed - mean=10 max=20` */
function brief(rows: readonly StatRow[]): string[] {
  return rows.map(({ step, kind, tap, head, statistics }) =>
    [step, kind, tap, head ?? "-", ...statistics.map(([name, value]) => `${name}=${value}`)].join(" ")
  );
}

Deno.test("statRows() without a selection is every stat record with all its statistics, in the log's order", async () => {
  const rows = await rowsOf({}, tracked(10));
  assert.deepEqual(brief(rows), [
    "10 act embed - mean=10 max=20",
    "10 act blocks.0.attn.pattern 0 entropy=10 sink=0.5",
    "10 act blocks.0.attn.pattern 1 entropy=11 sink=0.5",
    "10 act blocks.0.attn.pattern - entropy=10 sink=0.5 sink_heads=1",
    "10 act blocks.1.attn.pattern 0 entropy=10 sink=0.5",
    "10 act blocks.1.attn.pattern 1 entropy=11 sink=0.5",
    "10 act blocks.1.attn.pattern - entropy=10 sink=0.5 sink_heads=1",
    "10 grad embed - mean=-10 max=0",
  ]);
  assert.deepEqual(rows.map(({ layer }) => layer), [null, 0, 0, 0, 1, 1, 1, null]);
});

Deno.test("statRows() combines tap, kind, layer, heads, statistics in the requested order, steps and every", async () => {
  assert.deepEqual(
    brief(
      await rowsOf({
        tap: "blocks.*.attn.*",
        kind: "act",
        layer: 1,
        heads: [1],
        stats: ["sink", "entropy"],
        steps: [10, 20],
      }),
    ),
    [
      "10 act blocks.1.attn.pattern 1 sink=0.5 entropy=11",
      "20 act blocks.1.attn.pattern 1 sink=0.5 entropy=21",
    ],
  );
  assert.deepEqual(brief(await rowsOf({ kind: "grad", stats: ["mean"], steps: [20, Infinity] })), [
    "20 grad embed - mean=-20",
    "30 grad embed - mean=-30",
  ]);
  // Records without any requested statistic give no rows.
  assert.deepEqual(brief(await rowsOf({ stats: ["sink_heads"], layer: 0, every: 2 })), [
    "10 act blocks.0.attn.pattern - sink_heads=1",
    "30 act blocks.0.attn.pattern - sink_heads=1",
  ]);
});

Deno.test("statRows() counts every in selected steps, not in records", async () => {
  const steps = async (selection: StatSelection) =>
    (await rowsOf({ ...selection, kind: "act", heads: [0, 1] }, tracked(100))).map(({ step }) => step);
  assert.deepEqual(await steps({ every: 4 }), [10, 10, 10, 10, 50, 50, 50, 50, 90, 90, 90, 90]);
  assert.deepEqual(await steps({ every: 8, steps: [20, 100], layer: 0 }), [20, 20, 100, 100]);
});

Deno.test("statRows() gives a row before it asks for the next record", async () => {
  let asked = 0;
  async function* endless(): AsyncGenerator<LogRecord> {
    for (;;) yield await Promise.resolve(stat(++asked, "act", "embed", null, { mean: 1 }));
  }
  for await (const { step } of statRows(endless(), { tap: "embed" })) {
    assert.equal(step, asked);
    if (step === 1000) break;
  }
});

Deno.test("statRows() reports an unknown name at the end of the log, with the nearest known one", async () => {
  const refused = async (selection: StatSelection, message: string, records?: Iterable<LogRecord>) =>
    await assert.rejects(rowsOf(selection, records), new UserError(message));
  await refused({ kind: "gard" }, '--kind gard: no such record in log.ndjson. Did you mean "grad"?');
  await refused(
    { tap: "blocks.0.atn.patern" },
    '--tap blocks.0.atn.patern: no such record in log.ndjson. Did you mean "blocks.0.attn.pattern"?',
  );
  // Each option is checked among the records that match the options before it.
  await refused(
    { kind: "grad", tap: "zzzzzz" },
    "--tap zzzzzz: no such record in log.ndjson. Known: embed.",
  );
  await refused({ layer: 2 }, "--layer 2: no such record in log.ndjson. Found: none, 0, 1.");
  await refused(
    { tap: "**.pattern", heads: [0, 7] },
    "--head 7: no such record in log.ndjson. Found: 0, 1, none.",
  );
  await refused(
    { tap: "**.pattern", stats: ["sink", "entrpy"] },
    '--stat entrpy: no such record in log.ndjson. Did you mean "entropy"?',
  );
  await refused(
    { tap: "embed", stats: ["sink"], kind: "act" },
    "--stat sink: no such record in log.ndjson. Known: mean, max.",
  );
  await refused(
    { steps: [31, Infinity] },
    "--steps 31..: no such record in log.ndjson, found steps 10 to 30.",
  );
  await refused({ steps: [1, 9] }, "--steps 1..9: no such record in log.ndjson, found steps 10 to 30.");
  await refused(
    {},
    "log.ndjson: no stat records; a run writes them for the tensors that its configuration tracks.",
    [stepOf(1, 4)],
  );
  const many = Array.from({ length: 40 }, (_, i) => stat(1, "param", `p${i}.weight`, null, { l2: 1 }));
  await refused(
    { tap: "something.quite.different" },
    "--tap something.quite.different: no such record in log.ndjson. " +
      "Found: p0.weight, p1.weight, p2.weight, p3.weight, p4.weight, p5.weight, p6.weight, p7.weight, " +
      "p8.weight, p9.weight, p10.weight, p11.weight and 28 more.",
    many,
  );
});

Deno.test("statRows() yields the existing rows before it reports what is missing", async () => {
  const rows: StatRow[] = [];
  await assert.rejects(async () => {
    for await (const row of statRows(ReadableStream.from(tracked()), { stats: ["entropy", "nothing"] })) {
      rows.push(row);
    }
  }, UserError);
  assert.equal(rows.length, 18);
});

const ODD: StatRow = {
  step: 7,
  kind: "metric",
  tap: 'say "a,b"',
  layer: null,
  head: null,
  statistics: [["value", NaN], ["low", -Infinity], ["high", Infinity], ["none", null], [
    "tiny",
    -1.23456789e-10,
  ]],
};
const HEAD: StatRow = {
  step: 12,
  kind: "act",
  tap: "blocks.0.attn.pattern",
  layer: 0,
  head: 3,
  statistics: [["entropy", 1 / 3], ["sink", 0]],
};

Deno.test("statWriter() of csv is one line per number under one heading, quoted as in RFC 4180", () => {
  const write = statWriter("csv");
  assert.equal(
    write(HEAD) + write(ODD),
    "step,kind,tap,layer,head,stat,value\n" +
      "12,act,blocks.0.attn.pattern,0,3,entropy,0.3333333333333333\n" +
      "12,act,blocks.0.attn.pattern,0,3,sink,0\n" +
      '7,metric,"say ""a,b""",,,value,NaN\n7,metric,"say ""a,b""",,,low,-inf\n' +
      '7,metric,"say ""a,b""",,,high,inf\n7,metric,"say ""a,b""",,,none,\n' +
      '7,metric,"say ""a,b""",,,tiny,-1.23456789e-10\n',
  );
});

Deno.test("statWriter() of ndjson is one object per number; one that is not finite is null with its status", () => {
  const write = statWriter("ndjson");
  const objects = (write(HEAD) + write(ODD)).trimEnd().split("\n").map((line) => JSON.parse(line));
  const head = {
    v: 2,
    type: "statistic",
    step: 12,
    kind: "act",
    tap: "blocks.0.attn.pattern",
    layer: 0,
    head: 3,
  };
  const odd = { v: 2, type: "statistic", step: 7, kind: "metric", tap: 'say "a,b"', layer: null, head: null };
  assert.deepEqual(objects, [
    { ...head, stat: "entropy", value: 1 / 3 },
    { ...head, stat: "sink", value: 0 },
    { ...odd, stat: "value", value: null, value_status: "nan" },
    { ...odd, stat: "low", value: null, value_status: "-inf" },
    { ...odd, stat: "high", value: null, value_status: "inf" },
    { ...odd, stat: "none", value: null },
    { ...odd, stat: "tiny", value: -1.23456789e-10 },
  ]);
});

Deno.test("statWriter() of a table aligns numbers of every size below their headings", () => {
  const write = statWriter("table");
  const rows = [[1, 2], [-0.000123456789, 123456789], [-1.23456789e-300, NaN], [1e21, -Infinity], [
    null,
    1 / 3,
  ]];
  const table = rows.map(([a, b]) =>
    write({ ...HEAD, statistics: [["entropy", a], ["argmax_distance", b]] })
  );
  assert.deepEqual(table.join("").split("\n"), [
    "    step  kind        tap                                   layer  head       entropy  argmax_distance",
    "      12  act         blocks.0.attn.pattern                     0     3             1                2",
    "      12  act         blocks.0.attn.pattern                     0     3  -0.000123457        123456789",
    "      12  act         blocks.0.attn.pattern                     0     3  -1.2346e-300              NaN",
    "      12  act         blocks.0.attn.pattern                     0     3     1.0000e21             -inf",
    "      12  act         blocks.0.attn.pattern                     0     3             -         0.333333",
    "",
  ]);
});

Deno.test("statWriter() of a table repeats headings when the statistics change, and writes one for requested statistics", async () => {
  const headings = async (stats?: string[]) => {
    const write = statWriter("table", stats);
    const text = (await rowsOf({ stats })).map(write).join("");
    return text.split("\n").filter((line) => line.includes("step")).map((line) => line.split(/\s+/).slice(6));
  };
  const block = [["entropy", "sink"], ["entropy", "sink", "sink_heads"]];
  const once = [["mean", "max"], ...block, ...block];
  // The gradient's headings also apply to the tensor that follows it.
  assert.deepEqual(await headings(), [...once, ...once, ...once, ["mean", "max"]]);
  assert.deepEqual(await headings(["sink", "entropy", "mean"]), [["sink", "entropy", "mean"]]);
});

Deno.test("shortNumber() never takes more than 12 characters for a double with two digits in its exponent", () => {
  for (const digits of [1, 1.5, 9.99999999, 1.23456789]) {
    for (let power = -99; power < 100; power++) {
      const value = -digits * 10 ** power;
      const text = shortNumber(value);
      assert.ok(text.length <= 12, text);
      // Half a unit of the fifth significant digit, the fewest that are written.
      assert.ok(Math.abs(Number(text) - value) <= 0.5e-4 * Math.abs(value), `${text} ${value}`);
    }
  }
  assert.deepEqual([0, -0, 1 / 3, undefined].map((value) => shortNumber(value)), ["0", "0", "0.333333", "-"]);
  assert.equal(shortNumber(-12.345678, 4), "-12.35");
});

Deno.test("logSummariser() counts records, follows each loss past numbers that are not finite, and names what is tracked", () => {
  const summariser = logSummariser();
  for (const record of tracked()) summariser.add(record);
  [NaN, 2, 1.5, 1.5, Infinity].forEach((loss, i) => summariser.add(stepOf(31 + i, loss)));
  summariser.add({
    type: "eval",
    step: 30,
    split: "val",
    loss: NaN,
    perplexity: 1,
    accuracy: 0,
    tokens: 1,
  });
  const { types, losses, taps } = summariser.summary();
  assert.deepEqual(types, { step: 8, stat: 24, eval: 1 });
  assert.deepEqual(losses, [
    {
      name: "training",
      records: 8,
      first: { step: 10, loss: 10 },
      last: { step: 35, loss: Infinity },
      least: { step: 33, loss: 1.5 },
    },
    { name: "val", records: 1, first: { step: 30, loss: NaN }, last: { step: 30, loss: NaN }, least: null },
  ]);
  const tensor = { records: 3, heads: 0, first: 10, last: 30, statistics: ["mean", "max"] };
  const pattern = {
    records: 9,
    heads: 2,
    first: 10,
    last: 30,
    statistics: ["entropy", "sink", "sink_heads"],
  };
  assert.deepEqual(taps, [
    { kind: "act", tap: "embed", ...tensor },
    { kind: "act", tap: "blocks.0.attn.pattern", ...pattern },
    { kind: "act", tap: "blocks.1.attn.pattern", ...pattern },
    { kind: "grad", tap: "embed", ...tensor },
  ]);
});

Deno.test("summaryLines() groups taps by their statistics, and handles an empty log", () => {
  const summariser = logSummariser();
  assert.deepEqual(summaryLines(summariser.summary()), ["records: none"]);
  for (const record of tracked(20)) summariser.add(record);
  assert.deepEqual(summaryLines(summariser.summary()), [
    "records: 2 step, 16 stat",
    "",
    "loss (nats)          first          last        lowest",
    "training     10.0000 at 10  5.0000 at 20  5.0000 at 20",
    "",
    "statistics: mean max",
    "  kind  tap    records  heads   steps",
    "  act   embed        2      -  10..20",
    "  grad  embed        2      -  10..20",
    "",
    "statistics: entropy sink sink_heads",
    "  kind  tap                    records  heads   steps",
    "  act   blocks.0.attn.pattern        6      2  10..20",
    "  act   blocks.1.attn.pattern        6      2  10..20",
  ]);
});

Deno.test("the summary writes a small loss with significant digits, and 0 only if it is 0", () => {
  const summariser = logSummariser();
  for (const [n, loss] of [3.21e-5, 2.5, 0].entries()) summariser.add(stepOf(n + 1, loss));
  const lines = summaryLines(summariser.summary()).join("\n");
  assert.match(lines, /training +3\.21e-5 at 1 +0\.0000 at 3 +0\.0000 at 3/);
});
