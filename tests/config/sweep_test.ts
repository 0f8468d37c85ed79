// Which lists are sweeps, which runs they define, and the names of the runs.

import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { applyOverride, loadConfig, loadSweep, type Sweep } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";

/** Runs in a new folder that holds the files. */
async function withFiles(files: Record<string, string>, body: () => Promise<void>): Promise<void> {
  const before = Deno.cwd();
  const folder = await Deno.makeTempDir();
  try {
    Deno.chdir(folder);
    await Deno.mkdir("configs");
    for (const [path, text] of Object.entries(files)) await Deno.writeTextFile(path, text);
    await body();
  } finally {
    Deno.chdir(before);
    await Deno.remove(folder, { recursive: true });
  }
}

const namesOf = ({ runs }: Sweep): string[] => runs.map(({ name }) => name);

async function refusal(path: string, overrides: string[] = [], ablate = false): Promise<string> {
  try {
    await loadSweep(path, overrides, { ablate });
  } catch (error) {
    assert.ok(error instanceof UserError, `expected a UserError, got ${error}`);
    assert.doesNotMatch(error.message, /\n/);
    return error.message;
  }
  return "accepted";
}

Deno.test("lists for single-valued keys form the Cartesian product, in the order of the file, the first key varying slowest", () =>
  withFiles({ "grid.yaml": "optimizer: { lr: [1e-3, 0.003] }\nmodel: { dim: [32, 64, 128] }" }, async () => {
    const { name, swept, runs } = await loadSweep("grid.yaml", []);
    assert.deepEqual([name, swept], ["grid", true]);
    assert.deepEqual(runs.map(({ config }) => [config.optimizer.lr, config.model.dim]), [
      [0.001, 32],
      [0.001, 64],
      [0.001, 128],
      [0.003, 32],
      [0.003, 64],
      [0.003, 128],
    ]);
    assert.equal(runs[0].name, "grid-01-lr=0.001-dim=32");
    assert.equal(runs[5].name, "grid-06-lr=0.003-dim=128");
    assert.ok(runs.every(({ name, config }) => config.name === name));
  }));

Deno.test("overrides sweep, replace the sweep of a file, and reach keys that the file does not have", () =>
  withFiles({ "a.yaml": "seed: [1, 2]" }, async () => {
    const names = async (...overrides: string[]) => namesOf(await loadSweep("a.yaml", overrides));
    assert.deepEqual(await names("model.dim=[64,128]"), [
      "a-01-seed=1-dim=64",
      "a-02-seed=1-dim=128",
      "a-03-seed=2-dim=64",
      "a-04-seed=2-dim=128",
    ]);
    assert.deepEqual(await names("seed=[7, 8, 9]", "name=b"), ["b-01-seed=7", "b-02-seed=8", "b-03-seed=9"]);
    assert.deepEqual(await names("seed=3"), ["a"]);
    assert.deepEqual(await names("seed=[3]"), ["a-01-seed=3"]);
  }));

Deno.test("a list for a list-valued key is not a sweep, a list of lists is one", async () => {
  const lone = [
    "optimizer.betas=[0.9,0.95]",
    "data.files=[a.txt,b.txt]",
    "data.files=[]",
    "track=[{select: ['act:**', 'grad:**'], every: 10}, {every: 2}]",
    "capture=[{layers: [0, 1], heads: [0], queries: [1, 2]}]",
    "capture={layers: [0, 1]}",
    "model.blocks=[{dropout: 0.1}, {dropout: 0.2}]",
  ];
  for (const override of lone) {
    const { swept, runs } = await loadSweep("default", [override]);
    assert.deepEqual([swept, runs.length, runs[0].name], [false, 1, "default"], override);
    assert.deepEqual(runs[0].config, await loadConfig("default", [override]), override);
  }
  const many: [string, string[]][] = [
    ["optimizer.betas=[[0.9,0.95],[0.9,0.99]]", ["betas=0.9,0.95", "betas=0.9,0.99"]],
    ["data.files=[[a/x.txt],[b.txt,c.txt],[]]", ["files=a_x.txt", "files=b.txt,c.txt", "files=3"]],
    ["track=[[{every: 1}],[{every: 2}]]", ["track=_every_1_", "track=_every_2_"]],
    ["track=[{select: ['act:**'], every: [1, 10]}]", ["every=1", "every=10"]],
    ["track={every: [1, 10]}", ["every=1", "every=10"]],
    ["capture={layers: [[0], [1]]}", ["layers=0", "layers=1"]],
    ["model.blocks=[{dropout: [0.1, 0.2]}]", ["dropout=0.1", "dropout=0.2"]],
    ["model.block=[{dropout: 0.1}, {dropout: [0.2, 0.3]}]", [
      "block=1",
      "block=2-dropout=0.2",
      "block=2-dropout=0.3",
    ]],
    ["schedule.steps=[null, 500]", ["steps=null", "steps=500"]],
    ["model.block.attention.bias=[auto, -2]", ["bias=auto", "bias=-2"]],
  ];
  for (const [override, expected] of many) {
    const sigmoid = override.includes("bias") ? ["model.block.attention.activation=sigmoid"] : [];
    const names = namesOf(await loadSweep("default", [...sigmoid, override]));
    assert.deepEqual(names.map((name) => name.replace(/^default-\d\d-/, "")), expected, override);
  }
});

Deno.test("keys of the same name are distinguished by as much of their path as necessary", async () => {
  const names = namesOf(await loadSweep("default", ["model.dropout=[0, 0.1]", "model.block.dropout=[0.2]"]));
  assert.deepEqual(names, [
    "default-01-model.dropout=0-block.dropout=0.2",
    "default-02-model.dropout=0.1-block.dropout=0.2",
  ]);
});

Deno.test("every run is reproduced from its file and overrides, whatever the values are", () =>
  withFiles(
    { "odd.yaml": "name: odd\nmodel: { dim: [32, 64] }\nablations: { a: model.positions=none }" },
    async () => {
      const overrides = [
        'sample.prompt=["a: b", "1e-3", "\\n", "- x", "true", "", "{"]',
        "optimizer.eps=[1e-7, 1e-300]",
        "model.block=[{mlp: {activation: relu}}, {dropout: 0.1}]",
        "data.files=[[a.txt, 'b c.txt'], []]",
        "sample.tokens=0",
      ];
      const { runs } = await loadSweep("odd.yaml", overrides, { ablate: true });
      assert.equal(runs.length, 2 * 2 * 7 * 2 * 2 * 2);
      assert.equal(new Set(runs.map(({ name }) => name)).size, runs.length);
      for (const { file, overrides, name, config } of runs) {
        const again = await loadSweep(file, [...overrides, `name=${name}`]);
        assert.deepEqual([again.swept, again.runs[0].config], [false, config], overrides.join(" "));
        assert.match(name, /^odd-\d{3}-(baseline|a)-[\w.,=+-]+$/);
        assert.ok(name.length <= 160);
      }
    },
  ));

Deno.test("a bare name is a prefix: small runs configs/small.yaml and every configs/small-*.yaml", () =>
  withFiles({
    "configs/small.yaml": "seed: 1",
    "configs/small-wide.yaml": "model: { dim: [64, 128] }",
    "configs/small-deep.yaml": "model: { layers: 8 }",
    "configs/smaller.yaml": "seed: 5",
    "configs/only-a.yaml": "seed: 6",
    "configs/only-b.yaml": "seed: 7",
  }, async () => {
    const small = await loadSweep("small", ["train.steps=5"]);
    assert.deepEqual([small.name, small.swept], ["small", true]);
    assert.deepEqual(namesOf(small), [
      "small-01",
      "small-deep-02",
      "small-wide-03-dim=64",
      "small-wide-04-dim=128",
    ]);
    assert.deepEqual(small.runs.map(({ file, config }) => [file, config.train.steps]), [
      ["configs/small.yaml", 5],
      ["configs/small-deep.yaml", 5],
      ["configs/small-wide.yaml", 5],
      ["configs/small-wide.yaml", 5],
    ]);
    assert.deepEqual(namesOf(await loadSweep("only", [])), ["only-a-01", "only-b-02"]);
    assert.deepEqual(namesOf(await loadSweep("small-deep", [])), ["small-deep"]);
    assert.deepEqual(namesOf(await loadSweep("configs/small.yaml", [])), ["small"]);
    assert.equal((await loadSweep("copy", [])).runs[0].file, "copy");
    assert.match(await refusal("smal"), /Did you mean/);
  }));

Deno.test("--ablate adds a run per ablation to every run of a sweep; without it ablations are ignored", () =>
  withFiles({
    "a.yaml": "seed: [1, 2]\nablations:\n  no positions: model.positions=none\n" +
      "  narrow: [model.dim=32, 'model.heads=[1, 2]']\n",
  }, async () => {
    assert.deepEqual(namesOf(await loadSweep("a.yaml", [])), ["a-01-seed=1", "a-02-seed=2"]);
    const { runs } = await loadSweep("a.yaml", [], { ablate: true });
    assert.deepEqual(runs.map(({ name }) => name), [
      "a-01-baseline-seed=1",
      "a-02-baseline-seed=2",
      "a-03-no_positions-seed=1",
      "a-04-no_positions-seed=2",
      "a-05-narrow-seed=1-heads=1",
      "a-06-narrow-seed=1-heads=2",
      "a-07-narrow-seed=2-heads=1",
      "a-08-narrow-seed=2-heads=2",
    ]);
    assert.deepEqual(
      runs.map(({ config: { model } }) => [model.positions, model.dim, model.heads]).slice(2, 6),
      [
        ["none", 128, 4],
        ["none", 128, 4],
        ["learned", 32, 1],
        ["learned", 32, 2],
      ],
    );
    assert.equal((await loadConfig("a.yaml", ["seed=1"])).seed, 1);
    const added = await loadSweep("a.yaml", ["seed=1", "~ablations", "ablations.x=seed=9"], { ablate: true });
    assert.deepEqual(added.runs.map(({ config }) => config.seed), [1, 9]);
  }));

Deno.test("keys that a hooks file declares can be swept, also by +key=value, and are checked", () =>
  withFiles({
    "hooks.ts": "export const keys = { share: { default: 0.1, min: 0, max: 1 } };\n" +
      "export const batch = (batch) => batch;",
    "a.yaml": "hooks: { file: hooks.ts, share: [0.1, 0.2] }",
  }, async () => {
    const shares = async (...overrides: string[]) =>
      (await loadSweep("a.yaml", overrides)).runs.map(({ name, config }) => [name, config.hooks.share]);
    assert.deepEqual(await shares(), [["a-01-share=0.1", 0.1], ["a-02-share=0.2", 0.2]]);
    assert.deepEqual(await shares("+share=0.5"), [["a", 0.5]]);
    assert.deepEqual(await shares("hooks.share=[0,1]"), await shares("+share=[0,1]"));
    assert.equal(
      await refusal("a.yaml", ["+share=[0.5,2]"]),
      "a-02-share=2: a.yaml: hooks.share: expected a number of at least 0 and of at most 1, found 2.",
    );
    assert.match(
      await refusal("a.yaml", ["+shar=1"]),
      /hooks\.shar: hooks\.ts declares no such key\. .*"share"\?$/,
    );
    assert.match(
      await refusal("default", ["+share=1"]),
      /hooks\.share: this key must be declared in a hooks file/,
    );
  }));

Deno.test("+key=value is hooks.key=value, and no other override begins with +", () => {
  assert.deepEqual(applyOverride({}, "+share=0.1"), { hooks: { share: 0.1 } });
  for (const text of ["+share", "+a.b=1", "+=1", "+a b=1"]) {
    assert.throws(
      () => applyOverride({}, text),
      /^UserError: override .*: expected \+key=value for a key that/,
    );
  }
});

Deno.test("a mistake names the run and the key", () =>
  withFiles({
    "a.yaml": "model: { heads: [2, 3] }",
    "b.yaml": "seed: 1\nablations: { x: model.dmi=3, y: [3] }",
    "c.yaml": "ablations: 3",
    "d.yaml": "ablations: { x: model.dim }",
    "e.yaml": "ablations: { x: [] }",
  }, async () => {
    assert.match(
      await refusal("a.yaml"),
      /^a-02-heads=3: a\.yaml: model\.heads: 3 does not divide model\.dim 128; /,
    );
    assert.equal(
      await refusal("default", ["optimizer.lr=[0.1,-1]"]),
      "default-02-lr=-1: override optimizer.lr=[0.1,-1]: expected a number above 0, found -1.",
    );
    assert.match(
      await refusal("default", ["model.dmi=[1,2]"]),
      /model\.dmi=\[1,2\]: unknown key\. .*"dim"\?$/,
    );
    assert.equal(
      await refusal("default", ["seed=[1,2,1]"]),
      "configs/default.yaml: seed: 1 is listed twice.",
    );
    assert.match(
      await refusal("default", ["model.dim=[]"]),
      /model\.dim=\[\]: expected an integer .*a list of 0\.$/,
    );
    assert.match(
      await refusal("default", ["name=[a,b]"]),
      /name=\[a,b\]: expected a name for a folder.*a list of 2/,
    );
    assert.match(
      await refusal("default", ["output.dir=[a,b]"]),
      /output\.dir=\[a,b\]: expected text .*a list of 2/,
    );
    assert.match(
      await refusal("b.yaml"),
      /^b\.yaml: ablations\.y: expected an override such as .*found 3\.$/,
    );
    assert.match(
      await refusal("b.yaml", ["ablations.y=seed=2"], true),
      /^b-02-x: override model\.dmi=3: unknown key\. .*"dim"\?$/,
    );
    assert.match(
      await refusal("c.yaml"),
      /^c\.yaml: ablations: expected a mapping of names to overrides, found 3\.$/,
    );
    assert.match(
      await refusal("d.yaml", [], true),
      /^d\.yaml: ablations\.x: override "model\.dim": expected key=value/,
    );
    assert.match(await refusal("e.yaml"), /^e\.yaml: ablations\.x: expected .*found a list of 0\.$/);
    assert.match(
      await refusal("default", [], true),
      /^configs\/default\.yaml: ablations: none are defined; /,
    );
    const list = `[${Array.from({ length: 101 }, (_, i) => i + 1).join()}]`;
    assert.match(
      await refusal("default", [`seed=${list}`, `train.steps=${list}`]),
      /: its lists make more than 10,000 runs; expected fewer\.$/,
    );
  }));

Deno.test("a damaged file with sweeps and ablations gives runs or one line", () =>
  withFiles({}, async () => {
    const good = "name: a\nmodel: { dim: [32, 64], block: [{ dropout: 0.1 }, { norm: rmsnorm }] }\n" +
      "optimizer: { lr: [1e-3], betas: [[0.9, 0.95], [0.9, 0.99]] }\n" +
      "track: [{ select: [a], every: [1, 2] }]\nablations: { x: seed=2, y: [seed=3, '~name'] }\n";
    const pieces = [
      "[",
      "]",
      "{",
      "}",
      ", ",
      ": ",
      "[[1], [2]]",
      "[null]",
      "__proto__: [1, 2]",
      "&a ",
      "*a",
      "- ",
      "'",
    ];
    const random = randomStream(1, "damaged sweeps");
    let accepted = 0;
    for (let i = 0; i < 2000; i++) {
      let text = good;
      for (let edits = 1 + random.below(3); edits > 0; edits--) {
        const at = random.below(text.length);
        const piece = pieces[random.below(pieces.length)];
        text = text.slice(0, at) + (random.below(2) ? piece : "") + text.slice(at + random.below(4));
      }
      await Deno.writeTextFile("a.yaml", text);
      const said = await refusal("a.yaml", [], true).catch((error) => assert.fail(`${error.stack}\n${text}`));
      if (said === "accepted") accepted++;
    }
    // Enough of each outcome.
    assert.ok(accepted > 50 && accepted < 1950, `${accepted} accepted`);
  }));
