// Validation loss with each backward pass of softmax, over seeds: the table of docs/jacobian.md. About fifty minutes for
// three seeds on two cores without a GPU: deno run -A bench/backward_passes.ts [config] [seeds: 1,2,3] [key=value ...]
import { jacobian, loadConfig, openDevice, prepare } from "../mod.ts";
import { interval } from "../src/base/mod.ts";

const overrides = Deno.args.filter((word) => word.includes("="));
const [name = "softmax_jacobian", seeds = "1,2,3"] = Deno.args.filter((word) => !word.includes("="));
const losses: Record<string, number[]> = {};
for (const seed of seeds.split(",").map(Number)) {
  const config = await loadConfig(name, [...overrides, `seed=${seed}`]);
  const experiment = await prepare(config);
  using device = await openDevice("webgpu");
  for await (const { name, evaluations } of jacobian.compareBackwards(device, experiment)) {
    const { loss } = evaluations.at(-1)!;
    (losses[name] ??= []).push(loss);
    console.log(JSON.stringify({ seed, name, loss }));
  }
}
console.log(
  "backward pass, losses, their mean and its 95% interval, and the same of the difference from exact per seed",
);
for (const [name, ofSeeds] of Object.entries(losses)) {
  const [mean, difference] = [ofSeeds, ofSeeds.map((loss, i) => loss - losses.exact[i])].map((values) => {
    const { mean, ci95 } = interval(values);
    return `${mean!.toFixed(3)} +- ${(ci95 ?? NaN).toFixed(3)}`;
  });
  console.log(
    [name, ofSeeds.map((loss) => loss.toFixed(3)).join(" "), mean, name === "exact" ? "" : difference].join(
      "\t",
    ),
  );
}
