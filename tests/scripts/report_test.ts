// The report of a run: one self-contained HTML file, whatever the run's name and charts contain.
import assert from "node:assert/strict";
import { type ReportOptions, runReport } from "../../src/chart/report.ts";
import { lossChart } from "../../src/chart/loss_chart.ts";
import { inlineSvg } from "../../src/chart/report_page.ts";
import type { LogRecord, RunRecord } from "../../src/log/records.ts";
import { inFolder, latest, script, succeeds } from "./harness.ts";

const ODD = `</pre><script>alert("1")</script> & 'é' \u0000`;

const RUN: RunRecord = {
  type: "run",
  name: ODD,
  time: "2026-01-02T03:04:05.678Z",
  heed: "0.1.0",
  deno: "2.9.6",
  device: { kind: "webgpu", adapter: ODD, software: true },
  seed: 7,
  config: { text: ODD, train: { steps: 4 } },
  parameters: 108160,
  tokens_per_step: 768,
  memory: { parameters: 2 ** 20, optimizer: 2 ** 21, activations: 2 ** 22, total: 7 * 2 ** 20 },
  git: "abc",
};

const step = (number: number, loss: number): LogRecord => ({
  type: "step",
  step: number,
  samples: number,
  tokens: number,
  counter: number,
  epoch: 0,
  loss,
  lr: 1e-3,
  grad_norm: 1,
  clipped: false,
  ms: 1,
  tokens_per_s: 1,
});

const stat = (number: number, tap: string, values: Record<string, number>): LogRecord => {
  return { type: "stat", step: number, kind: "act", tap, layer: null, head: null, ...values };
};

async function reportOf(records: LogRecord[], options?: ReportOptions): Promise<string> {
  return await runReport(ReadableStream.from(records), options);
}

/** The page's elements in order, and that each is closed where it must be; throws on a tag that is out of place. */
function elementsOf(html: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const body = html.replace(/^<!DOCTYPE html>\n/, "").replace(/<style>[\s\S]*?<\/style>/, "<style></style>");
  for (const [, close, name, rest] of body.matchAll(/<(\/?)([a-zA-Z][\w]*)((?:"[^"]*"|[^">])*)>/g)) {
    if (close) assert.equal(open.pop(), name, `</${name}>`);
    else {
      seen.push(name);
      if (!rest.endsWith("/") && !["meta", "img"].includes(name)) open.push(name);
    }
  }
  assert.deepEqual(open, []);
  return seen;
}

/** The text of the page, without its tags. */
function textOf(html: string): string {
  return html.replace(/<style>[\s\S]*?<\/style>/, "").replace(/<[^>]*>/g, " ")
    .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&")
    .replace(/\s+/g, " ");
}

const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" aria-labelledby="t"><title id="t">id="t" url(#a)</title>' +
  '<clipPath id="a"><path d="M0,0"/></clipPath><use href="#a" clip-path="url(#a)"/></svg>\n';

Deno.test("a report has the run's configuration, device, losses and outputs", async () => {
  const text = textOf(
    await reportOf([
      RUN,
      step(1, 4.25),
      step(2, 2.5),
      step(3, 3),
      { type: "eval", step: 3, split: "val", loss: 2.75, perplexity: 1, accuracy: 0, tokens: 1 },
      stat(2, "early", { mean: 1 }),
      stat(3, "embed", { mean: 1 / 3, zeros: NaN }),
      stat(3, "logits", { mean: -12345678.9, zeros: 0 }),
      { type: "warning", step: 2, code: "slow", message: "The first.", tap: null },
      { type: "warning", step: 3, code: "slow", message: "The second.", tap: null },
      {
        type: "sample",
        step: 3,
        prompt: "The ",
        text: "The cat",
        temperature: 0.8,
        top_k: 5,
        top_p: null,
        seed: 1,
      },
      { type: "done", step: 3, seconds: 125, best: { step: 3, val_loss: 2.75 }, files: [] },
    ]),
  );
  for (
    const part of [
      "device webgpu, ",
      " (software) ",
      "parameters 108,160 ",
      "memory parameters 1.0 MiB, optimizer 2.0 MiB, activations 4.0 MiB, total 7.0 MiB ",
      "steps 3 of 4, 768 positions each ",
      "ended after 2.1 min ",
      "best 2.7500 at step 3 ",
      "started 2026-01-02T03:04:05.678Z seed 7 heed, Deno 0.1.0, 2.9.6 commit abc ",
      "code times steps first message slow 2 2 to 3 The first. ",
      "training 4.2500 at step 1 3.0000 at step 3 2.5000 at step 2 ",
      "val 2.7500 at step 3 2.7500 at step 3 2.7500 at step 3 ",
      "step 3, temperature 0.8, top 5 The cat ",
      "Last statistics of each tensor activations of early (1 row) tap step mean early 2 1 ",
      "activations of embed, logits (2 rows) tap step mean zeros embed 3 0.3333 NaN logits 3 -1.23e7 0 ",
    ]
  ) assert.ok(text.includes(part), `${part}\n\n${text}`);
  assert.ok(!text.includes("The second."));
});

Deno.test("HTML in a name, a text and a chart is escaped in a report", async () => {
  const records: LogRecord[] = [
    RUN,
    step(1, NaN),
    { type: "warning", step: 1, code: ODD, message: ODD, tap: null },
    { type: "sample", step: 1, prompt: ODD, text: ODD, temperature: 1, top_k: null, top_p: null, seed: 1 },
    { ...stat(1, ODD, { [ODD]: 1 }), kind: ODD } as LogRecord,
  ];
  const html = await reportOf(records, { charts: { [`${ODD}.svg`]: SVG }, config: `name: ${ODD}\n` });
  const elements = elementsOf(html);
  assert.equal(elements.filter((name) => name === "h1").length, 1);
  assert.deepEqual(elements.filter((name) => ["script", "iframe", "link", "object"].includes(name)), []);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(html, /[\x00-\x08]|<script/);
  // In the title, the name, the device, the warning twice, a caption, the sample, the table four times (kind and tap
  // of its summary, tap, heading) and the configuration.
  assert.equal(html.match(/&lt;script&gt;alert\(&quot;1&quot;\)&lt;\/script&gt; &amp; /g)?.length, 12);
  assert.match(html, /http-equiv="Content-Security-Policy" content="default-src 'none';/);
  // Nothing is fetched: the only addresses are names of formats.
  const addresses = [...html.matchAll(/https?:\/\/[^"\s]*/g)].map(([address]) => address);
  assert.deepEqual(new Set(addresses), new Set(["http://www.w3.org/2000/svg"]));
});

Deno.test("charts of one page share no id, and each refers to its own", async () => {
  const drawing = '<?xml version="1.0"?>\n<!-- made -->\n' + SVG;
  const loss = lossChart([step(1, 4), step(2, 3)]);
  const html = await reportOf([], { charts: { "loss.svg": loss, "a.svg": drawing, "b.svg": drawing } });
  const ids = [...html.matchAll(/<[^>]*\sid="([^"]*)"/g)].map(([, id]) => id);
  assert.ok(ids.length >= 5, "the two ids of each chart, and those of the loss");
  assert.equal(new Set(ids).size, ids.length);
  const svgs = html.match(/<svg[\s\S]*?<\/svg>/g)!;
  assert.equal(svgs.length, 3);
  for (const svg of svgs) {
    const ids = [...svg.matchAll(/<[^>]*\sid="([^"]*)"/g)].map(([, id]) => id);
    const tags = svg.match(/<[^>]*>/g)!.join("");
    const used = [...tags.matchAll(/(?:url\(#|href="#|aria-labelledby=")([^")]*)/g)].map(([, id]) => id);
    assert.ok(used.length > 0 && used.every((id) => ids.includes(id)), `${used} of ${ids}`);
  }
  // Text between tags is unchanged.
  assert.match(svgs[1], /<title id="chart1-t">id="t" url\(#a\)<\/title>/);
});

Deno.test("an SVG with a script, a style, a link or no end is embedded as an image", () => {
  const inside = (part: string) => SVG.replace("<clipPath", `${part}<clipPath`);
  const reaching = [
    inside("<script>1</script>"),
    inside("<style>text { fill: red }</style>"),
    inside('<g onclick="1"/>'),
    inside('<use href="other.svg#a"/>'),
    inside('<path fill="url(other.svg#a)"/>'),
    inside("<foreignObject/>"),
    SVG.slice(0, -8),
    "not an SVG </div>",
  ];
  for (const svg of reaching) {
    const html = inlineSvg("x", svg, "c-");
    const [, data] = /^<img alt="x" src="data:image\/svg\+xml;base64,([\w+/=]*)">$/.exec(html) ?? [];
    assert.equal(new TextDecoder().decode(Uint8Array.fromBase64(data)), svg);
  }
  assert.match(inlineSvg("x", inside("<text>a script url(b) onx=1</text>"), "c-"), /^<svg /);
});

Deno.test("a report of many records collapses its texts and statistics and omits none, with a row for each code of warning", async () => {
  async function* records(): AsyncGenerator<LogRecord> {
    for (let i = 1; i <= 1000; i++) {
      yield* [
        step(i, 4),
        { type: "warning", step: i, code: "often", message: "Again.", tap: null },
        stat(i, "before", { l2: 1 }),
      ] as LogRecord[];
      if (i % 50 === 0) {
        const text = `text ${i};`;
        yield {
          type: "sample",
          step: i,
          prompt: "",
          text,
          temperature: 1,
          top_k: null,
          top_p: null,
          seed: 1,
        };
      }
    }
    for (let i = 0; i < 300; i++) yield stat(1001, `tap${i}.`, { l2: i });
  }
  const html = await runReport(records(), { name: "long" });
  const text = textOf(html);
  assert.ok(text.includes(" often 1,000 1 to 1000 Again. "));
  for (let i = 50; i <= 1000; i += 50) assert.ok(text.includes(`text ${i};`), `text ${i}`);
  for (let i = 0; i < 300; i++) assert.ok(text.includes(` tap${i}. `), `tap${i}`);
  assert.ok(text.includes(" before 1,000 1 "));
  assert.ok(text.includes("10 earlier samples") && text.includes("activations (301 rows)"));
  const folded = [...html.matchAll(/<details>[\s\S]*?<\/details>/g)].map(([part]) => part).join();
  assert.ok(folded.includes("text 500;") && !folded.includes("text 550;") && folded.includes(">tap299.<"));
  assert.ok(text.includes("ended no, or not yet"));
  // A page of 301 rows, not the whole log.
  assert.ok(html.length < 60_000, `${html.length}`);
});

Deno.test("report writes report.html into the run's folder, with its charts and its configuration", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    await Deno.writeTextFile(`${latest(folder)}/charts/another.svg`, SVG);
    const { stdout } = await succeeds("report", [], folder);
    const [path] = stdout.split("\n");
    assert.match(path, /^runs\/tiny\/[\w-]+\/report\.html$/);
    const html = await Deno.readTextFile(`${folder}/${path}`);
    elementsOf(html);
    const captions = [...html.matchAll(/<figcaption>(.*)<\/figcaption>/g)].map(([, name]) => name);
    assert.deepEqual([captions[0], captions.includes("another")], ["loss", true]);
    assert.ok(html.includes("unigram entropy"));
    assert.equal(captions.filter((name) => name === "loss").length, 1);
    assert.ok(html.includes(`<pre>${await Deno.readTextFile(`${latest(folder)}/config.yaml`)}</pre>`));
    await succeeds("report", ["tiny", "--out", "here.html"], folder);
    assert.equal(await Deno.readTextFile(`${folder}/here.html`), html);
    // Of a run that has not ended its loss is drawn as the log is now.
    const lines = (await Deno.readTextFile(`${latest(folder)}/log.ndjson`)).split("\n");
    const going = lines.filter((line) => !line.includes('"type":"done"'));
    await Deno.writeTextFile(`${latest(folder)}/log.ndjson`, going.join("\n"));
    await succeeds("report", ["--out", "here.html"], folder);
    const now = await Deno.readTextFile(`${folder}/here.html`);
    assert.ok(now.includes(">training loss<") && now.includes("unigram entropy"));
  }));

Deno.test("report of a missing run, or to a path that cannot be written, is one line and exit code 2", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const refused = async (args: string[], pattern: RegExp) => {
      const { code, stdout, stderr } = await script("report", args, folder);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, pattern);
    };
    await refused(["tinny"], /^report: tinny: not found, .* Did you mean "tiny"\?\n$/);
    await refused(
      ["tiny", "--out", "no/such/x.html"],
      /^report: no\/such\/x\.html: No such file or directory\.\n$/,
    );
    await Deno.remove(`${latest(folder)}/log.ndjson`);
    await refused([], /^report: runs\/.*\/log\.ndjson: No such file or directory\.\n$/);
  }));
