// End-to-end tests of stats: the summary, rows in three formats, errors, and a closed pipe.
import assert from "node:assert/strict";
import { formatRecord, type LogRecord } from "../../src/log/records.ts";
import { inFolder, latest, script, start, succeeds } from "./harness.ts";

/** A step, and every tenth the entropy of each head of two blocks and the norms of a parameter. */
function* records(last: number): Generator<LogRecord> {
  for (let step = 1; step <= last; step++) {
    yield {
      type: "step",
      step,
      samples: step,
      tokens: 64 * step,
      counter: 3 * step,
      epoch: step / 100,
      loss: 4 - step / last,
      lr: 0.001,
      grad_norm: 1,
      clipped: false,
      ms: 5,
      tokens_per_s: 12800,
    };
    if (step % 10 > 0) continue;
    for (const layer of [0, 1]) {
      for (const head of [0, 1]) {
        const tap = `blocks.${layer}.attn.pattern`;
        yield { type: "stat", step, kind: "act", tap, layer, head, entropy: head + step / 8, sink: NaN };
      }
    }
    yield {
      type: "stat",
      step,
      kind: "param",
      tap: "embed.weight",
      layer: null,
      head: null,
      l2: step,
      zeros: 0,
    };
  }
}

async function writeLog(path: string, last: number): Promise<void> {
  const lines = Array.from(records(last), (record) => formatRecord(record) + "\n");
  await Deno.writeTextFile(path, lines.join(""));
}

Deno.test("stats of a run prints the records and losses of its log", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const { stdout } = await succeeds("stats", [], folder);
    const [path, types, ...rest] = stdout.trimEnd().split("\n");
    assert.match(path, /^runs\/tiny\/[\w-]+\/log\.ndjson$/);
    assert.match(types, /^records: 1 run, 6 step, /);
    const losses = rest.filter((line) => /^(training|val) /.test(line));
    assert.equal(losses.length, 2);
    for (const line of losses) assert.match(line, / +\d\.\d{4} at \d +\d\.\d{4} at 6 +\d\.\d{4} at \d$/);
    // The run by its name, its folder and its log are the same log.
    for (const named of ["tiny", latest(folder), `${latest(folder)}/log.ndjson`]) {
      const again = await succeeds("stats", [named], folder);
      assert.deepEqual(again.stdout.split("\n").slice(1), stdout.split("\n").slice(1));
    }
  }));

Deno.test("stats without options lists the available statistics", () =>
  inFolder(async (folder) => {
    await writeLog(`${folder}/log.ndjson`, 40);
    const { stdout } = await succeeds("stats", ["log.ndjson"], folder);
    assert.equal(
      stdout,
      `log.ndjson
records: 40 step, 20 stat

loss (nats)        first          last        lowest
training     3.9750 at 1  3.0000 at 40  3.0000 at 40

statistics: entropy sink
  kind  tap                    records  heads   steps
  act   blocks.0.attn.pattern        8      2  10..40
  act   blocks.1.attn.pattern        8      2  10..40

statistics: l2 zeros
  kind   tap           records  heads   steps
  param  embed.weight        4      -  10..40
`,
    );
  }));

Deno.test("stats with options prints the rows they choose as a table, CSV and NDJSON", () =>
  inFolder(async (folder) => {
    await writeLog(`${folder}/log.ndjson`, 40);
    const rows = async (...args: string[]) => {
      return (await succeeds("stats", ["log.ndjson", ...args], folder)).stdout.trimEnd().split("\n");
    };
    const some = [
      "--tap",
      "blocks.*.attn.pattern",
      "--stat",
      "sink,entropy",
      "--head",
      "0,1",
      "--steps",
      "20..",
    ];
    assert.deepEqual(await rows(...some, "--layer", "1", "--every", "2"), [
      "    step  kind        tap                                   layer  head          sink       entropy",
      "      20  act         blocks.1.attn.pattern                     1     0           NaN           2.5",
      "      20  act         blocks.1.attn.pattern                     1     1           NaN           3.5",
      "      40  act         blocks.1.attn.pattern                     1     0           NaN             5",
      "      40  act         blocks.1.attn.pattern                     1     1           NaN             6",
    ]);
    assert.deepEqual(await rows("--kind", "param", "--steps", "..20", "--format", "csv"), [
      "step,kind,tap,layer,head,stat,value",
      "10,param,embed.weight,,,l2,10",
      "10,param,embed.weight,,,zeros,0",
      "20,param,embed.weight,,,l2,20",
      "20,param,embed.weight,,,zeros,0",
    ]);
    const lead =
      '{"v":2,"type":"statistic","step":30,"kind":"act","tap":"blocks.0.attn.pattern","layer":0,"head":1';
    assert.deepEqual(await rows("--layer", "0", "--head", "1", "--steps", "30", "--format", "ndjson"), [
      `${lead},"stat":"entropy","value":4.75}`,
      `${lead},"stat":"sink","value":null,"value_status":"nan"}`,
    ]);
    // A format without other options selects every row.
    assert.equal((await rows("--format", "csv")).length, 1 + 2 * 20);
  }));

Deno.test("stats reports an error in one line and exits with 2", () =>
  inFolder(async (folder) => {
    await writeLog(`${folder}/log.ndjson`, 20);
    const refused = async (args: string[], message: string, stdout = "") => {
      const result = await script("stats", args, folder);
      assert.deepEqual(result, { code: 2, stdout, stderr: `stats: ${message}\n` });
    };
    const log = "log.ndjson";
    await refused(
      [log, "--tap", "blocks.0.attn.patern"],
      '--tap blocks.0.attn.patern: no such record in log.ndjson. Did you mean "blocks.0.attn.pattern"?',
    );
    await refused(
      [log, "--stat", "entrop"],
      '--stat entrop: no such record in log.ndjson. Did you mean "entropy"?',
    );
    await refused(
      [log, "--format", "json"],
      "--format: expected table, ndjson, csv, " +
        'found "json". Did you mean "ndjson"?',
    );
    await refused([log, "--head", "0,x"], '--head: expected a whole number of at least 0, found "x".');
    await refused([log, "--every", "0"], '--every: expected a whole number of at least 1, found "0".');
    for (const steps of ["9..3", "..", "", "a..b", "1...3", "-1"]) {
      const message = `--steps: expected A..B with A at most B, A.., ..B or one step, found "${steps}".`;
      await refused([log, `--steps=${steps}`], message);
    }
    await refused([log, log], "log.ndjson: one run or log at a time, log.ndjson was given before.");
    await refused(
      ["lag.ndjson"],
      "lag.ndjson: not found, expected a run folder, a checkpoint folder or the name of a run. " +
        "There are no runs in runs yet.",
    );
    await Deno.writeTextFile(`${folder}/torn.ndjson`, '{"v":1,"type":"stat"\n{}\n');
    const { code, stderr } = await script("stats", ["torn.ndjson"], folder);
    assert.deepEqual([code, stderr.split(":").slice(0, 3)], [2, [
      "stats",
      " torn.ndjson",
      " line 1 is not a record, " +
      'expected a JSON object with "v" and "type".\n',
    ]]);
  }));

Deno.test("stats with a closed pipe ends quietly with 0", () =>
  inFolder(async (folder) => {
    // More than a pipe holds.
    await writeLog(`${folder}/log.ndjson`, 20_000);
    const process = start("stats", ["log.ndjson", "--format", "csv"], folder);
    const reader = process.stdout.getReader();
    const { value } = await reader.read();
    assert.ok(new TextDecoder().decode(value).startsWith("step,kind,tap,layer,head,stat,value\n10,act,"));
    await reader.cancel();
    const { code } = await process.status;
    const stderr = await new Response(process.stderr).text();
    assert.deepEqual([code, stderr], [0, ""]);
  }));

Deno.test("stats summarizes and selects from 100,000 steps within 10 seconds and a heap smaller than the log", () =>
  inFolder(async (folder) => {
    const block = Array.from(records(10), (record) => formatRecord(record) + "\n").join("");
    const file = await Deno.open(`${folder}/log.ndjson`, { write: true, create: true });
    // Ten steps and their statistics, the latter five times over.
    const lines = block.split("\n");
    const stats = lines.filter((line) => line.includes('"stat"')).join("\n") + "\n";
    for (let step = 0; step < 100_000; step += 10) {
      const text = (block + stats.repeat(4)).replace(/"step":(\d+)/g, (_, n) => `"step":${step + Number(n)}`);
      await file.write(new TextEncoder().encode(text));
    }
    const { size } = await file.stat();
    file.close();
    const heap = 40;
    assert.ok(size > heap * 2 ** 20, `${size}`);
    const env = { DENO_V8_FLAGS: `--max-old-space-size=${heap}` };
    for (
      const args of [[], ["--tap", "**.pattern", "--stat", "entropy", "--every", "100", "--format", "csv"]]
    ) {
      const began = performance.now();
      const { code, stdout, stderr } = await script("stats", ["log.ndjson", ...args], folder, { env });
      assert.equal(code, 0, stderr);
      assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`);
      if (args.length === 0) assert.match(stdout, /^records: 100,000 step, 250,000 stat$/m);
      // Four heads, five times, of a hundredth of the steps that have any.
      else assert.equal(stdout.trimEnd().split("\n").length, 1 + 4 * 5 * 100);
    }
  }));
