// The memory that a configuration needs is estimated before anything is unrolled, allocated or planned.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { loadConfig, resolveConfig } from "../../src/config/mod.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import { scale } from "../../kernels/elementwise/op.ts";
import { decoderParameters } from "../../src/nn/mod.ts";
import { dueAt, dueSets } from "../../src/track/selectors.ts";
import { modelOf } from "../../src/model/model.ts";
import { layout } from "../../src/model/layout.ts";
import { checkGraphs, checkRun } from "../../src/train/sizes.ts";
import { checkModel, parameterElements } from "../../src/model/sizes.ts";
import { planRun } from "../../src/train/train.ts";

const MACHINE = { memory: 8 * 2 ** 30, heap: 4 * 2 ** 30 };

const configOf = (...overrides: string[]) => loadConfig("default", ["tokenizer.kind=byte", ...overrides]);

Deno.test("a run that needs more memory than the machine has is one line with the key to lower, the needed and the available memory", async () => {
  const cases: [string[], RegExp][] = [
    [
      ["train.batch=1e9"],
      /^train\.batch: 1000000000 is too much: 476\.8 GiB of memory for a step's batches, this machine has 8\.0 GiB\.$/,
    ],
    [
      ["train.accumulate=1e9"],
      /^train\.accumulate: 1000000000 is too much: \d.* TiB of JavaScript's heap for the graphs of the training steps/,
    ],
    [
      ["model.layers=1e9"],
      /^model\.layers: 1000000000 is too much: 93\.1 TiB of JavaScript's heap for the graph of 1000000000 blocks, this machine has 4\.0 GiB\.$/,
    ],
    [
      ["model.layers=40000", "model.dim=512"],
      /^model\.layers: 40000 is too much: .* GiB of memory for the model's parameters/,
    ],
    [["model.context=1e9"], /^model\.context: 1000000000 is too much: /],
    [["model.dim=1e9"], /^model\.dim: 1000000000 is too much: /],
    [["model.dim=1e6", "model.heads=1e6"], /^model\.heads: 1000000 is too much: /],
    [["model.vocabulary=1e9"], /^model\.vocabulary: 1000000000 is too much: /],
    [["model.block.mlp.factor=1e9"], /^model\.block\.mlp\.factor: 1000000000 is too much: /],
    [
      ["model.block.attention.extra_keys=1e9"],
      /^model\.block\.attention\.extra_keys: 1000000000 is too much: /,
    ],
    [
      ["model.block.attention.value_dim=4e9"],
      /^model\.block\.attention\.value_dim: 4000000000 is too much: /,
    ],
    [["sample.tokens=1e9"], /^sample\.tokens: 1000000000 is too much: expected at most 134217728/],
    [["train.batch=1e7", "track=everything"], /^train\.batch: 10000000 is too much: .* of JavaScript's heap/],
  ];
  for (const [overrides, message] of cases) {
    const config = await configOf(...overrides);
    assert.throws(
      () => checkRun(config, MACHINE),
      (error: Error) => message.test(error.message),
      overrides.join(),
    );
  }
  checkRun(await configOf("eval.batches=1e9", "train.steps=1e9", "sample.tokens=1e6"), MACHINE);
  checkGraphs(await configOf("model.layers=1000"), MACHINE);
});

Deno.test("parameterElements() is the size of the layout of all parameters, whatever the blocks are", async () => {
  const blocks = "model.blocks=[{mlp:{factor: 2}},{attention:{layer_scale: 0.1}},{norm_order: hybrid}]";
  const variants = [
    [],
    ["model.tied=false", "model.bias=true"],
    ["model.layers=7", blocks],
    ["model.layers=3", blocks],
    ["model.block.mlp.gated=true", "model.block.attention.qk_norm=rmsnorm", "model.positions=none"],
    ["model.block.attention.extra_keys=3", "model.block.attention.temperature=learned"],
  ];
  for (const overrides of variants) {
    const { architecture } = modelOf(await configOf(...overrides), charTokenizer("abc"));
    assert.equal(
      parameterElements(architecture),
      layout(decoderParameters(architecture)).size,
      overrides.join(),
    );
  }
});

Deno.test("a model too large for the machine is an error before its parameters are listed", async () => {
  const config = await configOf("model.layers=1e9");
  assert.throws(
    () => modelOf(config, charTokenizer("abc")),
    /^UserError: model\.layers: 1000000000 is too much/,
  );
  const small = await configOf("model.dim=2048");
  checkModel(small, { ...small.model, vocabulary: 256 }, MACHINE);
  assert.throws(
    () => checkModel(small, { ...small.model, vocabulary: 256 }, { ...MACHINE, memory: 2 ** 20 }),
    /^UserError: model\.dim: 2048 is too much: .* MiB of memory for the model's parameters, this machine has 1\.0 MiB\.$/,
  );
});

Deno.test("programs that together need more memory than the machine has are an error on the CPU", async () => {
  using device = referenceDevice({ memory: 10_000 });
  const program = (size: number) => ({ outputs: { y: scale(input("x", [size]), 2) } });
  using small = await device.compile(program(1024));
  device.check([small.plan]);
  assert.throws(
    () => device.check([small.plan, small.plan]),
    /^UserError: 16\.0 KiB of memory for the run on the CPU, this machine has 9\.8 KiB\.$/,
  );
  await assert.rejects(
    () => device.compile(program(2048)),
    /^UserError: 16\.0 KiB of memory for a program on the CPU/,
  );
});

Deno.test("planRun() throws for buffers that the adapter cannot bind", async () => {
  const raw = {
    device: "webgpu",
    data: { files: ["README.md"] },
    tokenizer: { kind: "byte" },
    model: { context: 64, dim: 8, heads: 1, layers: 1, vocabulary: 250_000 },
    train: { batch: 1024 },
  };
  const config = resolveConfig(raw, { place: "test", name: "test" });
  await assert.rejects(
    () => planRun(config),
    /^UserError: train\.batch: 1024 is too much: .* needs .* in one buffer, the limit of .* is /,
  );
});

Deno.test("dueSets() is every set of entries due together, in the order of their first steps", () => {
  const random = randomStream(1, "due sets");
  for (let n = 0; n < 200; n++) {
    const watched = Array.from(
      { length: random.below(4) },
      () => ({ select: [], every: 1 + random.below(12) }),
    );
    const steps = 1 + random.below(150);
    const sets = new Map<string, number[]>();
    for (let step = 1; step <= steps; step++) {
      const due = dueAt(watched, step);
      if (due.length > 0) sets.set(due.join(), due);
    }
    assert.deepEqual(dueSets(watched, steps), [...sets.values()]);
  }
});
