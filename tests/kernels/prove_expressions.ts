// Proves that expressions mean the same on every device: deno task prove_expressions
import { cli } from "../../mod.ts";
import { agreementOf } from "./expression_trees.ts";

await cli.runCommand({
  name: "prove_expressions",
  summary: "compares random expressions, their derivatives and special inputs on every device",
  usage: "[options]",
  options: {
    trees: { type: "string", value: "N", help: "how many expressions", default: "20000" },
    seed: { type: "string", value: "N", help: "another set of them", default: "1" },
  },
  examples: ["deno task prove_expressions --trees 2000 --seed 2"],
}, async ({ values }) => {
  const trees = cli.numberOption("trees", values.trees, { min: 1, whole: true })!;
  const seed = cli.numberOption("seed", values.seed, { min: 0, whole: true })!;
  console.log(`${trees} trees of depth 1 to 6, seed ${seed}`);
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  const progress = (done: number) => done % 2000 === 0 && console.log(`${done} trees, ${seconds()} s`);
  const { failures, functions, ...results } = await agreementOf(trees, seed, { progress });
  const percent = (part: number) => `${(100 * part).toFixed(1)}%`;
  console.log(`${results.values} values on 5 devices; ${percent(results.specials)} of the inputs special;`);
  console.log(`${percent(results.sharp / results.values)} are NaN for sure, or known to three digits`);
  console.log(Object.entries(functions).map(([f, n]) => `${f} ${n}`).join(", "));
  for (const failure of failures.slice(0, 10)) console.log(failure);
  console.log(`${failures.length} values outside`);
  return failures.length ? 1 : 0;
});
