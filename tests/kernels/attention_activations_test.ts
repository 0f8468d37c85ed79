// The table of attention's activations: the fields of each entry agree, and everything that lists activations reads the
// table.
import { assertAlmostEquals, assertEquals, assertThrows } from "../../src/std/assert.ts";
import { ACTIVATIONS, attentionNames } from "../../kernels/attention/activations.ts";
import { attention } from "../../kernels/attention/op.ts";
import { derivative, toFunction } from "../../kernels/expression/expression.ts";
import { UserError } from "../../src/base/errors.ts";
import { configJsonSchema } from "../../src/config/mod.ts";
import { input } from "../../src/graph/structure.ts";

const SCORES = [-31.5, -3, -1.25, -0.5, 0, 0.25, 0.75, 1, 2.5, 40];
const ROWS = [[0.3], [1, 1], [-1.5, 0.25, 2, 0.5, 0.4], [0, -40, 40, 39.5], [-800, -801, -799.5]];

for (const [name, entry] of Object.entries(ACTIVATIONS)) {
  if (!entry.normalised) {
    Deno.test(`${name}: expression, derivative, definition and zeroBelow0 describe one function`, () => {
      const [phi, slope] = entry.definition;
      const ofScore = toFunction(entry.expression, ["score"]);
      const ofDerivative = toFunction(derivative(entry.expression, "score"), ["score"]);
      for (const s of SCORES) {
        assertAlmostEquals(ofScore(s), phi(s), 1e-12 * Math.abs(phi(s)));
        assertAlmostEquals(ofDerivative(s), slope(s), 1e-12 * Math.max(Math.abs(slope(s)), 1e-3));
      }
      const zero = SCORES.filter((s) => s <= 0).every((s) => phi(s) === 0);
      assertEquals(entry.zeroBelow0 ?? false, zero);
    });
    continue;
  }
  Deno.test(`${name}: the weights on the host equal the definition, and the gradient is diag(w) - w w^T / W`, () => {
    const { definition, sumsToOne } = entry;
    for (const row of ROWS) {
      const a = new Float64Array(row.length);
      entry.weigh(Float64Array.from(row), row.length, a);
      const expected = definition.weights(row);
      expected.forEach((x, j) => assertAlmostEquals(a[j], x, 1e-12));
      if (sumsToOne) assertAlmostEquals(a.reduce((x, y) => x + y), 1, 1e-12);
      const da = row.map((_, j) => Math.cos(3 * j + 1));
      const gradient = definition.gradient(expected, da);
      const w = expected.map((x) => entry.share?.(x) ?? x);
      const W = entry.share ? w.reduce((x, y) => x + y) : 1;
      const inner = w.reduce((sum, x, j) => sum + x * da[j], 0) / W;
      gradient.forEach((ds, j) => assertAlmostEquals(ds, w[j] * (da[j] - inner), 1e-12));
      row.forEach((_, j) => {
        const along = (step: number) =>
          definition.weights(row.map((s, k) => k === j ? s + step : s))
            .reduce((sum, x, k) => sum + x * da[k], 0);
        assertAlmostEquals((along(1e-5) - along(-1e-5)) / 2e-5, gradient[j], 1e-8);
      });
    }
  });

  Deno.test(`${name}: a row whose scores are all -Infinity has weights 0 and the term 1e30`, () => {
    const a = new Float64Array(2).fill(7);
    const term = entry.weigh(new Float64Array(2).fill(-Infinity), 2, a);
    if (entry.sumsToOne) assertEquals(term, 1e30);
    assertEquals([...a], [0, 0]);
  });
}

Deno.test("the schema's enums and the message for an unknown name list the tables' keys", () => {
  const text = JSON.stringify(configJsonSchema());
  for (
    const names of [
      attentionNames("activation"),
      attentionNames("backward"),
      attentionNames("divide"),
      attentionNames("kvHead"),
    ]
  ) {
    assertEquals(text.includes(`"enum":${JSON.stringify(names)}`), true, names.join());
  }
  const q = input("q", [1, 2, 1, 2]);
  const unknown = { activation: "of mine" as "softmax" };
  assertThrows(() => attention(q, q, q, unknown), UserError, attentionNames("activation").join(", "));
});
