// Compares softmax and sigmoid attention over several seeds. Prints the mean difference of their best validation losses, with a
// 95% confidence interval.
// deno run -A examples/seeds.ts [seeds] [steps]
import { interval, loadConfig, train } from "../mod.ts";

const [seeds, steps] = Deno.args.map(Number).concat([3, 100].slice(Deno.args.length));
const variants = {
  softmax: ["model.block.attention.activation=softmax"],
  sigmoid: ["model.block.attention.activation=sigmoid", "model.block.attention.bias=auto"],
};

async function lossOf(name: string, overrides: readonly string[], seed: number): Promise<number> {
  const config = await loadConfig("default", [
    ...overrides,
    `name=study-${name}`,
    `seed=${seed}`,
    `train.steps=${steps}`,
    `eval.every=${steps}`,
    "sample.tokens=0",
  ]);
  const trained = await train(config);
  if (trained?.best === null || trained === undefined) {
    throw new Error(`${name}, seed ${seed}: no evaluation`);
  }
  return trained.best.val_loss;
}

const differences: number[] = [];
for (let seed = 1; seed <= seeds; seed++) {
  const softmax = await lossOf("softmax", variants.softmax, seed);
  const sigmoid = await lossOf("sigmoid", variants.sigmoid, seed);
  differences.push(sigmoid - softmax);
  console.log(`seed ${seed}: softmax ${softmax.toFixed(4)}, sigmoid ${sigmoid.toFixed(4)}`);
}
const { mean, ci95 } = interval(differences);
console.log(
  `sigmoid - softmax: ${mean?.toFixed(4)} +- ${ci95?.toFixed(4) ?? "n/a (an interval needs two seeds)"}`,
);
