import assert from "node:assert/strict";
import { agreementOf } from "./expression_trees.ts";

Deno.test("240 random expressions agree on every device", async () => {
  const { failures, values, sharp, specials } = await agreementOf(240, 1);
  assert.deepEqual(failures.slice(0, 5), []);
  // The comparison is meaningful: most values are known to three digits, and at least a tenth of the inputs are special.
  assert.ok(sharp > 0.85 * values, `${sharp} of ${values} sharp`);
  assert.ok(specials > 0.1, `${specials} special`);
});
