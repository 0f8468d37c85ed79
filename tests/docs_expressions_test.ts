// The expressions of README, docs, examples and configurations: each parses, and its derivative is what central differences
// give.
import assert from "node:assert/strict";
import { derivative, lookupsOf, toFunction, variablesOf } from "../kernels/expression/expression.ts";
import { parseExpression } from "../kernels/expression/text.ts";
import { ROOT } from "./scripts/harness.ts";

function textsIn(folder: string, pattern: RegExp): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].filter(({ name }) => pattern.test(name))
    .map(({ name }) => Deno.readTextFileSync(new URL(folder + name, ROOT)));
}

/** What a modifier is a function of. */
const NAMES = ["score", "b", "h", "i", "j", "row"];

const TEXTS = [
  ...textsIn("./", /^README\.md$/),
  ...textsIn("docs/", /\.md$/),
  ...textsIn("examples/", /\.ts$/),
  ...textsIn("configs/", /\.ts$/),
];

/** Calls with an expression as text: `modifier("...")` and others, template literals with numbers put in too. */
const calls = TEXTS.flatMap((text) =>
  [...text.matchAll(/\b(modifier|mask|elementwise)\(\s*["`]([^"`]+)["`]/g)]
    .map(([, kind, source]) => ({ kind, source: source.replace(/\$\{[^}]+\}/g, "0.25") }))
);

Deno.test("every expression of the documents has the derivative that central differences give", () => {
  assert.ok(calls.length >= 10, `${calls.length} expressions`);
  for (const { kind, source } of calls) {
    const names = [...new Set([...source.matchAll(/\b([A-Za-z_]\w*)\[/g)].map(([, name]) => name))];
    const tables = Object.fromEntries(names.map((name) => [name, [3]]));
    const e = parseExpression(source, { tables });
    const variables = [...variablesOf(e)];
    if (kind !== "elementwise") {
      assert.deepEqual(variables.filter((name) => !NAMES.includes(name)), [], source);
    }
    assert.equal(lookupsOf(e).length > 0, names.length > 0);
    const all = [...variables, ...names];
    const f = toFunction(e, all);
    for (const name of kind === "elementwise" ? variables : kind === "modifier" ? ["score"] : []) {
      const slope = toFunction(derivative(e, name), all);
      for (const start of [-1.3, -0.4, 0.7, 1.6]) {
        const values = variables.map((other, n) =>
          other === name ? start : "bhij".includes(other) ? n : 0.3 + n
        );
        const at = (x: number) =>
          f(
            ...variables.map((other, n) => other === name ? x : values[n]),
            ...names.map(() => [0.5, 0.2, 1]),
          );
        const got = slope(...values, ...names.map(() => [0.5, 0.2, 1]));
        const difference = (at(start + 1e-5) - at(start - 1e-5)) / 2e-5;
        assert.ok(
          Math.abs(got - difference) <= 1e-7 * Math.max(1, Math.abs(got)),
          `${source} in ${name}: ${got}`,
        );
      }
    }
  }
});
