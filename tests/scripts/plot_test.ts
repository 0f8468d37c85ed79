// End-to-end tests of plot: charts in run folders, one chart of several runs, errors of one line, speed on long logs.
import assert from "node:assert/strict";
import { assertReads } from "../chart/picture.ts";
import { type MadeLog, madeLog, writeLog } from "../chart/run_log.ts";
import { type Ended, inFolder, ROOT, tree } from "./harness.ts";

/** Runs plot with permission to read and write, as its task does. */
async function plot(folder: string, args: readonly string[], stdin?: string): Promise<Ended> {
  const config = new URL("deno.json", ROOT).pathname;
  const script = new URL("scripts/plot.ts", ROOT).pathname;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--config", config, "--allow-read", "--allow-write", script, ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) {
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  }
  const { code, stdout, stderr } = await process.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** A run folder with a log in it. */
async function makeRun(folder: string, path: string, log: MadeLog): Promise<void> {
  await Deno.mkdir(`${folder}/runs/${path}`, { recursive: true });
  await writeLog(`${folder}/runs/${path}/log.ndjson`, madeLog(log));
}

async function succeeds(folder: string, args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await plot(folder, args, stdin);
  assert.deepEqual([code, stderr], [0, ""], stderr);
  return stdout;
}

Deno.test("plot writes the charts of each run into its charts folder and prints their paths", () =>
  inFolder(async (folder) => {
    await makeRun(folder, "small/1", { steps: 40, every: 10, evaluate: 20 });
    await makeRun(folder, "bare/1", { steps: 40 });
    await Deno.writeTextFile(`${folder}/runs/latest`, "small/1\n");
    const printed = (await succeeds(folder, ["runs/latest", "bare"])).trim().split("\n");
    assert.equal(printed.length, 9 + 1);
    assert.ok(printed.includes("runs/small/1/charts/heads_sink_last.svg"));
    assert.equal(printed.at(-1), "runs/bare/1/charts/loss.svg");
    for (const path of printed) assertReads(await Deno.readTextFile(`${folder}/${path}`));
    const charts = tree(folder).filter((path) => path.endsWith(".svg"));
    assert.deepEqual(charts, printed.toSorted());
    // Without an argument the latest run is drawn.
    assert.equal((await succeeds(folder, [])).trim().split("\n").length, 9);
  }));

Deno.test("plot draws a metric of several runs, of logs and of standard input on one chart, under names that differ", () =>
  inFolder(async (folder) => {
    for (const path of ["small/1", "small/2", "large/1"]) await makeRun(folder, path, { steps: 30 });
    assert.equal(
      await succeeds(folder, ["small", "large", "--metric", "loss", "--x", "tokens"]),
      "plot.svg\n",
    );
    assertReads(await Deno.readTextFile(`${folder}/plot.svg`), "loss", "small", "large", "tokens");
    const same = [
      "runs/small/1",
      "runs/small/2",
      "runs/large/1/log.ndjson",
      "--metric",
      "loss",
      "--out",
      "-",
    ];
    const svg = await succeeds(folder, same);
    assertReads(svg, "small/1", "small/2", "runs/large/1/log.ndjson");
    assert.equal(await succeeds(folder, same), svg, "the same bytes");
    const log = await Deno.readTextFile(`${folder}/runs/small/1/log.ndjson`);
    assertReads(
      await succeeds(folder, ["-", "--metric", "lr", "--out", "-"], log),
      "standard input: learning rate",
    );
    await succeeds(folder, ["-"], log);
    assertReads(await Deno.readTextFile(`${folder}/charts/loss.svg`), "Loss of made");
  }));

Deno.test("plot draws statistics by tap, head and kind, with a logarithmic and a second axis", () =>
  inFolder(async (folder) => {
    await makeRun(folder, "small/1", { steps: 40, heads: 3, every: 10 });
    const tap = [
      "small",
      "--tap",
      "blocks.0.attn.pattern",
      "--stat",
      "entropy",
      "--head",
      "0,2",
      "--out",
      "-",
    ];
    assertReads(await succeeds(folder, tap), "small: entropy of blocks.0.attn.pattern", "head 0", "head 2");
    const both = [
      "small",
      "--tap",
      "**",
      "--stat",
      "l2",
      "--kind",
      "param_grad",
      "--log",
      "--second",
      "loss",
    ];
    await succeeds(folder, [...both, "--out", "norms.svg"]);
    assertReads(await Deno.readTextFile(`${folder}/norms.svg`), "L2 norm", "loss (nats per token)");
  }));

Deno.test("plot reports every error in one line, exits with 2 and writes nothing", () =>
  inFolder(async (folder) => {
    await makeRun(folder, "small/1", { steps: 30, every: 10 });
    await makeRun(folder, "none/1", { steps: 0 });
    await Deno.writeTextFile(`${folder}/torn.ndjson`, "hello\nworld\n");
    await Deno.symlink("small/1", `${folder}/runs/latest`);
    const before = tree(folder);
    const tap = ["--tap", "blocks.0.attn.pattern"];
    const mistakes: [string[], RegExp][] = [
      [["smal"], /smal: not found, .* Did you mean "small"\?/],
      [["none"], /none: the log has no data to draw yet\./],
      [["torn.ndjson"], /torn\.ndjson: line 1 is not a record/],
      [
        ["small", "runs/latest", "--metric", "loss"],
        /runs\/latest: names the same log as small, .*log\.ndjson/,
      ],
      [["-", "-", "--metric", "loss"], /-: names the same log as -, -\./],
      [["small", "--metric", "los"], /los: no such metric\. Did you mean "loss"\?/],
      [["small", "--metric", "accuracy"], /accuracy: small has none, because it has no evaluation/],
      [["small", "--metric", "loss", "--x", "second"], /--x second: .* Did you mean "seconds"\?/],
      [["small", "--metric", "loss", "--secnd", "lr"], /--secnd: unknown option\. Did you mean "second"\?/],
      [["small", ...tap, "--metric", "loss"], /--tap: cannot be combined with --metric loss/],
      [["small", ...tap], /--tap blocks\.0\.attn\.pattern: give the statistic too/],
      [["small", ...tap, "--stat", "entrpy"], /--stat entrpy: .*Did you mean "entropy"\?/],
      [
        ["small", "--tap", "blocks.0.atn.pattern", "--stat", "sink"],
        /Did you mean "blocks\.0\.attn\.pattern"\?/,
      ],
      [["small", ...tap, "--stat", "sink", "--head", "x"], /--head: expected a whole number/],
      [
        ["small", ...tap, "--stat", "sink", "--kind", "activation"],
        /--kind: expected act, .*, metric, found "activation"\.\n$/,
      ],
      [["small", "--stat", "sink"], /--stat: belongs to --tap, which is not given/],
      [["small", "--log"], /--log: needs --metric or --tap/],
      [["small", "--out", "a.svg"], /--out: needs --metric or --tap/],
      [["small", "--metric", "loss", "--out", "no/where.svg"], /no\/where\.svg: No such file or directory/],
    ];
    for (const [args, pattern] of mistakes) {
      const { code, stdout, stderr } = await plot(folder, args);
      assert.deepEqual([code, stdout], [2, ""], `${args.join(" ")}\n${stderr}`);
      assert.match(stderr, pattern);
      assert.match(stderr, /^plot: [^\n]+\n$/);
    }
    assert.deepEqual(tree(folder), before);
  }));

Deno.test("plot of a log of 10,000 steps and 20,000 statistics takes less than 6 s and 300 MB", () =>
  inFolder(async (folder) => {
    await makeRun(folder, "long/1", { steps: 10_000, layers: 2, heads: 6, every: 10, evaluate: 1000 });
    // Runs the script's module and prints its time and memory, because no measuring tool is available everywhere.
    const program = `const peak = { rss: 0 };
      setInterval(() => peak.rss = Math.max(peak.rss, Deno.memoryUsage().rss), 5);
      const { runCharts } = await import(${JSON.stringify(new URL("mod.ts", ROOT).href)});
      const began = performance.now();
      await runCharts("runs/long/1/log.ndjson");
      console.log(JSON.stringify({ ms: performance.now() - began, rss: Math.max(peak.rss, Deno.memoryUsage().rss) }));
      Deno.exit(0);`;
    await Deno.writeTextFile(`${folder}/measure.ts`, program);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", new URL("deno.json", ROOT).pathname, "measure.ts"],
      cwd: folder,
    }).output();
    const measured = JSON.parse(new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr));
    assert.ok(measured.ms < 6000, `${measured.ms} ms`);
    assert.ok(measured.rss < 300e6, `${measured.rss} bytes`);
  }));
