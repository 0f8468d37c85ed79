// Training steps on the CPU device: for every option, losses are those of float64, and the same bytes for any number of threads.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/mod.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import type { Device } from "../../src/device/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { initialise, STATES } from "../../src/model/layout.ts";
import { loadModel, type Model } from "../../src/model/model.ts";
import { optimizerStates } from "../../src/train/optimizers.ts";
import { rowsOf, stepFeeds, stepGraph } from "../../src/train/step_graph.ts";
import { OPTIONS } from "./options.ts";

/** Sizes that no vector and no tile divides. */
const SIZES = ["model.context=13", "model.dim=24", "model.heads=2", "train.batch=3", "optimizer.clip=0.5"];

/** Losses of three steps, and the parameters after them. */
async function threeSteps(device: Device, { config, architecture, layout }: Model) {
  const { graph, table } = stepGraph(architecture, layout, config);
  await initialise(
    device,
    layout,
    config.seed,
    optimizerStates(config.optimizer, layout).map(({ name }) => name),
  );
  const rng = randomStream(1, "steps on the CPU");
  const { train: { batch, accumulate }, model: { context } } = config;
  const ids = () => Uint32Array.from({ length: batch * context }, () => rng.below(7));
  using program = await device.compile(graph);
  for (let step = 0; step < 3; step++) {
    const batches = Array.from({ length: accumulate }, () => ({ ids: ids(), targets: ids() }));
    program.run(stepFeeds(config, batches, { step, lr: 1e-3, slot: step }));
  }
  const [metrics, parameters] = await device.read([table.name, STATES.parameters]);
  return { losses: rowsOf(table, metrics, 3).map(({ loss }) => loss), parameters };
}

for (const [name, changes] of Object.entries({ "the default": [], ...OPTIONS })) {
  Deno.test(`three steps of ${name} are those of float64 on the CPU, with any number of threads`, async () => {
    const config = await loadConfig("default", ["tokenizer.kind=char", ...SIZES, ...changes]);
    const model = await loadModel(config, charTokenizer("abcdefg"));
    using oracle = referenceDevice({ precision: "f64" });
    const expected = await threeSteps(oracle, model);
    let first: Awaited<ReturnType<typeof threeSteps>> | undefined;
    for (const threads of [1, 2, 3]) {
      using device = cpuDevice({ threads });
      const actual = await threeSteps(device, model);
      first ??= actual;
      assert.deepEqual(actual, first, `${threads} threads`);
    }
    // Measured: at most 5e-8. An error in one gradient would show in the next loss.
    first!.losses.forEach((loss, step) => {
      const error = Math.abs(loss / expected.losses[step] - 1);
      assert.ok(error < 1e-6, `step ${step}: ${loss}, float64 ${expected.losses[step]}`);
    });
  });
}
