// A custom training loop. The model and its data come from a configuration. This file defines the update (Signum, which uses
// the sign of the momentum) and reads the loss every 40 steps.
// deno run -A examples/training_loop.ts
import {
  crossEntropy,
  decoder,
  elementwise,
  grad,
  graph,
  input,
  loadConfig,
  models,
  prepare,
  referenceDevice,
  reshape,
  state,
} from "../mod.ts";

const config = await loadConfig("default", ["model.dim=32", "model.layers=1", "train.batch=8", "device=cpu"]);
const { architecture, layout, source } = await prepare(config);
const { context, vocabulary } = architecture;
const { batch } = config.train;
const [STEPS, RATE, MOMENTUM] = [160, 5e-4, 0.9];

// The graph of a step computes the loss, the gradient and the update. All parameters are parts of one flat state.
const parameters = models.flat(layout);
const momentum = state("momentum", parameters.shape);
const views = models.parameterViews(layout, parameters);
const ids = input("ids", [batch, context], "u32");
const targets = input("targets", [batch * context], "u32");
const logits = decoder(architecture, views, ids);
const { loss } = crossEntropy(reshape(logits, [batch * context, vocabulary]), targets);
const gradient = models.packGradients(layout, grad(loss, layout.slots.map(({ name }) => views[name])));
const moved = elementwise(`${MOMENTUM} * m + ${1 - MOMENTUM} * g`, { m: momentum, g: gradient });
const updated = elementwise(`p - ${RATE} * sign(m)`, { p: parameters, m: moved });

using device = referenceDevice();
await models.initialise(device, layout, config.seed, ["momentum"]);
const effects = [graph.assign(momentum, moved), graph.assign(parameters, updated)];
using program = await device.compile({ outputs: { loss }, effects });

for (let step = 0; step < STEPS; step++) {
  const rows = source.train(step);
  program.run({ ids: rows.ids, targets: rows.targets });
  if (step % 40 > 0 && step < STEPS - 1) continue;
  const [[value]] = await program.read(["loss"]);
  console.log(`step ${step}: loss ${value.toFixed(3)}`);
}
