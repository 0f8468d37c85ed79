// Which operations run in TypeScript on the CPU device: none, for the configurations that people start with and every option,
// in any of their programs.
import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/mod.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { type Graph, plan } from "../../src/device/plan.ts";
import { generationWork } from "../../src/generate/next_logits.ts";
import { initialGraph } from "../../src/model/layout.ts";
import { languageModelOf, loadModel } from "../../src/model/model.ts";
import { probeGraph } from "../../src/track/induction_probe.ts";
import { graphsOf } from "../../src/train/work.ts";
import { OPTIONS } from "../train/options.ts";

/** Configurations: the name of a file in configs/, and changes to it. */
const CONFIGURATIONS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  "GPT-2's shapes": [
    "default",
    ...["model.vocabulary=50257", "model.dim=768", "model.heads=12", "model.context=128"],
    ...["model.bias=true", "model.block.mlp.activation=gelu_tanh", "model.dropout=0.1", "train.batch=2"],
  ],
  "tracking everything": ["default", "track=everything"],
  ...Object.fromEntries(["softmax1", "entmax15", "sigmoid", "relu", "relu2"].map((f) => [
    `tracking everything of ${f} attention`,
    [
      ...["default", "track=everything", `model.block.attention.activation=${f}`, "model.dropout=0.1"],
      ...["model.positions=alibi", "optimizer.name=muon"],
    ] as [string, ...string[]],
  ])),
  ...Object.fromEntries(Object.entries(OPTIONS).map(([name, changes]) => [name, ["default", ...changes]])),
  ...Object.fromEntries(
    [...Deno.readDirSync(new URL("../../configs", import.meta.url))]
      .filter(({ name }) => name.endsWith(".yaml"))
      .map(({ name }) => [`configs/${name}`, [name.slice(0, -5)] as [string]]),
  ),
};

/** The graphs of a run's programs, by name: initial values, steps, evaluation, probe and sample. */
async function programsOf([name, ...changes]: readonly [string, ...string[]]): Promise<Map<string, Graph>> {
  const config = await loadConfig(name, ["tokenizer.kind=char", ...changes]);
  const model = await loadModel(config, charTokenizer("abcdefghijklmnopqrstuvwxyz ,.'\n"));
  const { steps, evaluation } = graphsOf(model);
  const probe = probeGraph(model);
  const sample = generationWork(languageModelOf(model), 1, 5, 2 * config.model.context);
  return new Map([
    ["initial values", initialGraph(model.layout, config.seed)],
    ...[...steps].map(([due, graph]): [string, Graph] => [`a step, due: ${due || "nothing"}`, graph]),
    ["evaluation", evaluation],
    ...(probe ? [["probe", probe.graph] as [string, Graph]] : []),
    ...sample.map(({ graph }, i): [string, Graph] => [`sample, pass ${i}`, graph]),
  ]);
}

for (const [name, configuration] of Object.entries(CONFIGURATIONS)) {
  Deno.test(`no operation of ${name} runs in TypeScript on the CPU device`, async () => {
    for (const [program, graph] of await programsOf(configuration)) {
      const { steps } = plan(graph, "simd");
      const others = steps.filter(({ simd }) => !simd);
      assert.deepEqual(others.map(({ node }) => `${node.op.name} in ${node.path}`), [], program);
    }
  });
}
