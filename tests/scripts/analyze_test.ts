// End-to-end tests of the analysis of softmax's Jacobian: from a configuration, from a run, and with user errors.
import assert from "node:assert/strict";
import { type Ended, inFolder, latest, ROOT, succeeds, tree } from "./harness.ts";

const SCRIPT = new URL("scripts/analyze_softmax_jacobian.ts", ROOT).pathname;
const CONFIG = new URL("deno.json", ROOT).pathname;

/** What makes `tiny.yaml` of the harness two layers of eight positions. */
const MODEL = ["model.layers=2", "model.context=8", "train.steps=4", "eval.batches=1"];

async function analyse(folder: string, ...args: string[]): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--config",
      CONFIG,
      "--allow-read",
      "--allow-write",
      "--allow-env",
      SCRIPT,
      ...args,
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function analyses(folder: string, ...args: string[]): Promise<Ended> {
  const result = await analyse(folder, ...args);
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** Records of an analysis. */
// deno-lint-ignore no-explicit-any
const recordsIn = (path: string): any[] =>
  Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));

/** The folder of the newest analysis of `tiny`. */
const analysisOf = (folder: string): string => {
  const [newest] = tree(`${folder}/runs/tiny-jacobian`).filter((path) => !path.includes("/")).reverse();
  return `${folder}/runs/tiny-jacobian/${newest}`;
};

Deno.test("an analysis has its own run folder, which runs lists, overwrites nothing and does not write into the current folder", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=2", "eval.batches=1", "sample.tokens=0"], folder);
    const [run] = [latest(folder)];
    const before = tree(run);
    await Deno.mkdir(`${folder}/elsewhere`);
    const moved = `${folder}/elsewhere/model`;
    for (const { name } of Deno.readDirSync(`${run}/checkpoints/2`)) {
      await Deno.mkdir(moved, { recursive: true });
      await Deno.copyFile(`${run}/checkpoints/2/${name}`, `${moved}/${name}`);
    }
    const quick = ["--batches", "1", "--device", "cpu"];
    await analyses(folder, "runs/latest", ...quick);
    await analyses(folder, "runs/latest", ...quick);
    await analyses(folder, "elsewhere/model", ...quick);
    await analyses(folder, "tiny.yaml", "--steps", "0", ...quick);
    assert.deepEqual(tree(run), before);
    assert.deepEqual(tree(folder).filter((path) => !path.includes("/")), [
      "elsewhere",
      "runs",
      "text.txt",
      "tiny.yaml",
    ]);
    assert.equal(latest(folder), run);
    const { stdout } = await succeeds("runs", ["tiny-jacobian"], folder);
    assert.equal(stdout.trimEnd().split("\n").length, 1 + 4, stdout);
    await analyses(folder, "tiny.yaml", "--steps", "0", ...quick, "--out", "out");
    for (const out of ["out", ".", "tiny.yaml"]) {
      const { code, stderr } = await analyse(folder, "tiny.yaml", "--steps", "0", ...quick, "--out", out);
      assert.equal(code, 2);
      assert.match(stderr, /^(device: .*\n)?analyze_softmax_jacobian: [^\n]*\n$/);
    }
  }));

Deno.test("analyze_softmax_jacobian trains, prints one table per step, and writes records and charts", () =>
  inFolder(async (folder) => {
    const { stdout } = await analyses(folder, "tiny.yaml", ...MODEL, "--batches", "3", "--steps", "4,0,2");
    const records = recordsIn(`${analysisOf(folder)}/jacobian.ndjson`);
    const places = [0, 2, 4].flatMap((step) => [[step, 0, 0], [step, 0, 1], [step, 1, 0], [step, 1, 1]]);
    assert.deepEqual(records.map(({ step, layer, head }) => [step, layer, head]), places);
    for (const record of records) {
      const { type, activation, method, batches, r_diag, r_lateral, r_cross, cos_diag_c, full_error } =
        record;
      assert.deepEqual([type, activation, method, batches], ["jacobian", "softmax", "bp", 3]);
      // Nine digits are stored.
      assert.ok(Math.abs(r_diag + r_lateral + r_cross - 1) < 1e-6);
      assert.ok(cos_diag_c > 0 && cos_diag_c <= 1);
      assert.ok(record.r_diag_ci95 > 0);
      assert.ok(full_error < 1e-5, `${full_error}`);
      assert.equal(record.r_diag_by_position.length, 8);
    }
    const lines = stdout.split("\n");
    assert.deepEqual(lines.filter((line) => /^step/.test(line)).map((line) => line.split(",")[0]), [
      "step 0",
      "step 2",
      "step 4",
    ]);
    assert.deepEqual(lines.slice(2, 6).map((line) => line.trim().split(/\s+/).slice(0, 2).join(".")), [
      "0.0",
      "0.1",
      "1.0",
      "1.1",
    ]);
    const analysis = analysisOf(folder);
    const place = analysis.slice(folder.length + 1);
    const written = tree(analysis).filter((name) => /\./.test(name));
    for (const name of written) assert.ok(stdout.includes(`${place}/${name}\n`), name);
    assert.ok(written.includes("config.yaml"));
    for (
      const name of [
        "jacobian_r_diag.svg",
        "jacobian_ratios_by_position.svg",
        "jacobian_cosines_by_position_c.svg",
      ]
    ) {
      const svg = Deno.readTextFileSync(`${analysis}/charts/${name}`);
      assert.match(svg, /^<svg [\s\S]*tiny: [\s\S]*<\/svg>\n$/);
      assert.ok(svg.length < 100_000, `${name}: ${svg.length} bytes`);
    }
  }));

Deno.test("--compare trains exact, diag, ste and sigmoid from one seed; --ndjson - has the bytes of the file", () =>
  inFolder(async (folder) => {
    const args = ["tiny.yaml", ...MODEL, "--steps", "1", "--batches", "1", "--compare", "--ndjson", "-"];
    const { stdout, stderr } = await analyses(folder, ...args, "--out", "out");
    assert.equal(stdout, Deno.readTextFileSync(`${folder}/out/jacobian.ndjson`));
    const evals = recordsIn(`${folder}/out/jacobian.ndjson`).filter(({ type }) => type === "eval");
    const names = ["exact", "diag", "ste", "sigmoid"];
    assert.deepEqual(
      evals.map(({ training, step }) => [training, step]),
      names.flatMap((name) => [0, 3, 4].map((step) => [name, step])),
    );
    const lossAt = (name: string, step: number) =>
      evals.find((record) => record.training === name && record.step === step).loss;
    assert.equal(lossAt("diag", 0), lossAt("exact", 0), "they start from the same parameters");
    assert.equal(lossAt("ste", 0), lossAt("exact", 0));
    assert.notEqual(lossAt("ste", 4), lossAt("exact", 4));
    for (const name of names) assert.match(stderr, new RegExp(`^ *${name} +\\d\\.\\d{4}`, "m"));
    assert.match(
      Deno.readTextFileSync(`${folder}/out/jacobian_compare.svg`),
      /Loss of exact, diag, ste, sigmoid/,
    );
    assert.equal(
      (await analyses(folder, ...args, "--out", "again")).stdout,
      stdout,
      "a second run says the same",
    );
  }));

Deno.test("the exact training of a comparison equals that of train", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const logged = recordsIn(`${latest(folder)}/log.ndjson`).filter(({ type }) => type === "eval");
    await analyses(folder, "tiny.yaml", "--steps", "0", "--batches", "1", "--compare", "--out", "out");
    const compared = recordsIn(`${folder}/out/jacobian.ndjson`).filter(({ training, step }) => {
      return training === "exact" && step > 0;
    });
    const losses = (records: { step: number; loss: number }[]) =>
      records.map(({ step, loss }) => [step, loss]);
    assert.deepEqual(losses(compared), losses(logged));
    assert.equal(logged.length, 2);
  }));

Deno.test("a run's checkpoints are analyzed, all of them or the requested ones", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "output.checkpoint_every=2"], folder);
    const run = latest(folder);
    await analyses(folder, "runs/latest", "--batches", "1");
    const records = recordsIn(`${analysisOf(folder)}/jacobian.ndjson`);
    // The best may be that of step 3.
    const steps = new Set(records.map(({ step }) => step));
    assert.deepEqual([...steps].filter((step) => step !== 3), [2, 4, 6]);
    assert.ok(tree(`${analysisOf(folder)}/charts`).includes("jacobian_cos_diag.svg"));
    assert.match(
      Deno.readTextFileSync(`${analysisOf(folder)}/config.yaml`),
      /^# Jacobians of runs\/tiny\/.* at 2, /,
    );
    await analyses(folder, "tiny", "--batches", "1", "--steps", "4", "--out", "four");
    assert.deepEqual(
      recordsIn(`${folder}/four/jacobian.ndjson`),
      records.filter(({ step }) => step === 4),
    );
    const last = `${run}/checkpoints/6`;
    await analyses(folder, last, "--batches", "1", "--out", "six");
    assert.deepEqual(recordsIn(`${folder}/six/jacobian.ndjson`), records.filter(({ step }) => step === 6));
    const wrong = await analyse(folder, "runs/latest", "--steps", "5");
    assert.equal(wrong.code, 2);
    assert.match(
      wrong.stderr,
      /^analyze_softmax_jacobian: --steps: the run has no checkpoint of step 5, only of .*6\.\n$/,
    );
    const overridden = await analyse(folder, "runs/latest", "model.dim=8");
    assert.match(
      overridden.stderr,
      /^analyze_softmax_jacobian: model\.dim=8: a run has its own/,
    );
  }));

Deno.test("train.from: the analysis of a new training starts from the other run's parameters", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const other = latest(folder);
    await analyses(folder, `${other}/checkpoints/6`, "--batches", "1", "--out", "kept");
    const from = ["tiny.yaml", `train.from=${other}`];
    await analyses(folder, ...from, "--steps", "0", "--batches", "1", "--out", "from");
    const [kept, begun] = ["kept", "from"].map((name) => recordsIn(`${folder}/${name}/jacobian.ndjson`));
    assert.deepEqual(begun, kept.map((record) => ({ ...record, step: 0 })));
    await succeeds("train", from, folder);
    const { code, stderr } = await analyse(folder, "runs/latest", "--compare");
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^analyze_softmax_jacobian: --compare: the run started from the parameters of [^\n]*\n$/,
    );
  }));

Deno.test("sigmoid attention is reported in one line, and its records omit quantities that would always be 1", () =>
  inFolder(async (folder) => {
    const args = ["tiny.yaml", "model.block.attention.activation=sigmoid", "--steps", "0", "--batches", "1"];
    const { stdout } = await analyses(folder, ...args);
    assert.match(
      stdout,
      /\nlayer 0: sigmoid is element-wise: its Jacobian is diagonal, full = diag exactly/,
    );
    const [record] = recordsIn(`${analysisOf(folder)}/jacobian.ndjson`);
    assert.deepEqual([record.activation, record.r_diag, record.cos_diag], ["sigmoid", undefined, undefined]);
    assert.ok(record.trace > 0 && record.full_error < 1e-5);
    assert.deepEqual(tree(`${analysisOf(folder)}/charts`), []);
  }));

Deno.test("feedback alignment has its own signal and the true gradient, in the table and in charts of each", () =>
  inFolder(async (folder) => {
    const keys = ["model.block.attention.method=fa", "model.tied=false"];
    const args = ["tiny.yaml", ...keys, "--steps", "1", "--batches", "1"];
    const { stdout } = await analyses(folder, ...args);
    assert.match(stdout, /layer +head +method +entropy/);
    const records = recordsIn(`${analysisOf(folder)}/jacobian.ndjson`);
    assert.deepEqual(records.map(({ head, method }) => [head, method]), [[0, "fa"], [0, "bp"], [1, "fa"], [
      1,
      "bp",
    ]]);
    const written = tree(`${analysisOf(folder)}/charts`);
    for (const method of ["fa", "bp"]) {
      assert.ok(written.includes(`jacobian_ratios_by_position_${method}.svg`));
    }
  }));

Deno.test("mistakes are one line with exit code 2 and leave nothing behind", () =>
  inFolder(async (folder) => {
    const before = tree(folder);
    const cases: [string[], RegExp][] = [
      [
        ["tiny.yaml", "--steps", "1,two"],
        /^--steps: expected a whole number from 0 to 6, found "two"\.$/,
      ],
      [["tiny.yaml", "--steps", "7"], /^--steps: expected a whole number from 0 to 6, found "7"\.$/],
      [["tiny.yaml", "--steps", ""], /^--steps: expected a whole number/],
      [["tiny.yaml", "--batches", "0"], /^--batches: expected a whole number of at least 1, found "0"\.$/],
      [["tiny.yaml", "--compere"], /^--compere: unknown option\. Did you mean "compare"\?$/],
      [["softmax_jacobain"], /Did you mean "softmax_jacobian"\?$/],
      [["runs/nothing"], /^runs\/nothing: not found/],
      [["tiny.yaml", "copy"], /^copy: one configuration or run at a time, tiny\.yaml was given before\.$/],
      [["tiny.yaml", "--device", "gpu"], /^device: "gpu" is unknown\./],
      [
        ["tiny.yaml", "model.block.attention.activation=sigmoid", "--compare"],
        /^compare: expected softmax attention without a learned bias, found sigmoid in block 0\.$/,
      ],
      [
        ["tiny.yaml", "schedule.name=plateau"],
        /^schedule\.name: plateau depends on evaluations, .* expected schedule\.name=constant, or the name of a finished run/,
      ],
      [
        ["tiny.yaml", "train.stop=2"],
        /^train\.stop: 2 depends on evaluations, .* expected train\.stop=null, or/,
      ],
    ];
    for (const [args, pattern] of cases) {
      const { code, stdout, stderr } = await analyse(folder, ...args);
      assert.deepEqual([code, stdout], [2, ""], `${args.join(" ")}: ${stderr}`);
      const [, said] = /^analyze_softmax_jacobian: ([^\n]*)\n$/.exec(stderr) ?? [];
      assert.match(said ?? stderr, pattern);
    }
    assert.deepEqual(tree(folder), before);
  }));
