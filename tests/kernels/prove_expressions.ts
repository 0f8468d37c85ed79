// Proves that expressions mean the same on every device: deno task prove_expressions [--trees 20000] [--seed 1]
import { parseArgs } from "node:util";
import { agreementOf } from "./expression_trees.ts";

const { values } = parseArgs({
  options: { trees: { type: "string", default: "20000" }, seed: { type: "string", default: "1" } },
});
const [trees, seed] = [Number(values.trees), Number(values.seed)];
console.log(`${trees} trees of depth 1 to 6, seed ${seed}`);
const started = performance.now();
const { failures, functions, ...found } = await agreementOf(trees, seed, {
  progress: (done) =>
    done % 2000 === 0 && console.log(`${done} trees, ${Math.round((performance.now() - started) / 1000)} s`),
});
console.log(
  `${found.values} values on 4 devices; ${(100 * found.specials).toFixed(1)}% of the inputs special;`,
);
console.log(`${(100 * found.sharp / found.values).toFixed(1)}% are NaN for sure, or known to three digits`);
console.log(Object.entries(functions).map(([f, n]) => `${f} ${n}`).join(", "));
for (const failure of failures.slice(0, 10)) console.log(failure);
console.log(`${failures.length} values outside`);
Deno.exit(failures.length ? 1 : 0);
