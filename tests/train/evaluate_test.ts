// The scores of answers against those computed from the logits by hand, and the evaluations in a log.
import assert from "node:assert/strict";
import { resolveConfig } from "../../src/config/mod.ts";
import { referenceDevice } from "../../src/device/mod.ts";
import { evaluator, logitsGraph, prepare } from "../../src/train/mod.ts";
import { initialise } from "../../src/model/mod.ts";

Deno.test("loss, accuracy and exact match of answers equal those computed from the logits at the answers", async () => {
  const raw = {
    data: { source: "modular_addition" },
    model: { context: 8, dim: 16, layers: 1, heads: 2 },
    train: { batch: 12 },
    sample: { prompt: "0" },
    seed: 3,
  };
  const experiment = await prepare(resolveConfig(raw, { place: "test", name: "test" }));
  const { architecture, layout, config, source } = experiment;
  using device = referenceDevice();
  await initialise(device, layout, config.seed);
  using evaluation = await evaluator(device, experiment);
  const { answer, accuracy, loss: splitLoss } = await evaluation.evaluate();
  using program = await device.compile(logitsGraph(architecture, layout, 12, 8));
  const pass = source.evaluation("val");
  let [nats, tokens, right, samples, exact, all, allRight] = [0, 0, 0, 0, 0, 0, 0];
  for (let i = 0; i < pass.count; i++) {
    const { ids, targets, answers } = pass.batch(i);
    program.run({ ids });
    const [logits] = await program.read(["logits"]);
    const { vocabulary } = architecture;
    for (let row = 0; row < 12; row++) {
      const hits: boolean[] = [];
      for (let at = 8 * row; at < 8 * row + 8; at++) {
        const values = [...logits.subarray(at * vocabulary, (at + 1) * vocabulary)];
        const hit = values.indexOf(Math.max(...values)) === targets[at];
        if (targets[at] < vocabulary) {
          all++;
          if (hit) allRight++;
        }
        if (!answers![at]) continue;
        hits.push(hit);
        nats += Math.log(values.reduce((sum, x) => sum + Math.exp(x), 0)) - values[targets[at]];
      }
      tokens += hits.length;
      right += hits.filter(Boolean).length;
      if (hits.length > 0) samples++;
      if (hits.length > 0 && hits.every(Boolean)) exact++;
    }
  }
  assert.deepEqual([tokens, samples], [768, 256]);
  const { loss, ...scores } = answer!;
  assert.deepEqual(scores, { accuracy: right / tokens, exact: exact / samples });
  // Losses near 2.5 are float32: 2e-7 of them, and their mean is better.
  assert.ok(Math.abs(loss - nats / tokens) < 1e-6, `${loss}, by hand ${nats / tokens}`);
  assert.ok(Math.abs(loss - splitLoss) > 1e-4, "the loss of all tokens is another");
  assert.equal(accuracy, allRight / all);
  // An untrained model is sometimes right, otherwise the comparison would be vacuous.
  assert.ok(right > 0 && right < tokens);
});

Deno.test("a text has no answers", async () => {
  const raw = { model: { context: 8, dim: 16, layers: 1, heads: 2 }, eval: { batches: 1 } };
  const experiment = await prepare(resolveConfig(raw, { place: "test", name: "test" }));
  using device = referenceDevice();
  await initialise(device, experiment.layout, 1);
  using evaluation = await evaluator(device, experiment);
  assert.equal((await evaluation.evaluate()).answer, undefined);
});
