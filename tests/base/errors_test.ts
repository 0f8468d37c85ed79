// Suggestions in errors: the closest known name, or all of them.
import assert from "node:assert/strict";
import { closestString, didYouMean, UserError } from "../../src/base/errors.ts";

const KNOWN = ["softmax", "sigmoid", "dropout"];

Deno.test("closestString() finds a name with a letter missing, added, wrong, or two adjacent ones swapped, in any case", () => {
  for (const misspelt of ["sofmax", "softtmax", "softmox", "sotfmax", "SoftMax", "softmax"]) {
    assert.equal(closestString(misspelt, KNOWN), "softmax", misspelt);
  }
});

Deno.test("closestString() prefers the smallest distance, the first in a tie", () => {
  assert.equal(closestString("abcd", ["abxy", "abcx", "abcy"]), "abcx");
});

Deno.test("two swapped adjacent letters count as one edit, not two", () => {
  // "lr" is one swap from "rl"; by replacement it would be two of two letters.
  assert.equal(closestString("rl", ["lr"]), "lr");
  assert.equal(closestString("rl", ["xy"]), undefined);
});

Deno.test("closestString() returns undefined if more than half of the text differs", () => {
  assert.equal(closestString("seed", ["sxxd"]), "sxxd");
  assert.equal(closestString("seed", ["xxxd"]), undefined);
  assert.equal(closestString("temperature", KNOWN), undefined);
  assert.equal(closestString("x", []), undefined);
});

Deno.test("closestString() of a name of a megabyte answers at once", () => {
  const begun = performance.now();
  assert.equal(closestString("x".repeat(1e6), KNOWN), undefined);
  assert.ok(performance.now() - begun < 50);
});

Deno.test("didYouMean() names the closest, or lists the known names in order", () => {
  assert.equal(didYouMean("dorpout", KNOWN), ' Did you mean "dropout"?');
  assert.equal(didYouMean("temperature", new Set(KNOWN)), " Known: softmax, sigmoid, dropout.");
});

Deno.test("a UserError is an Error with its own name", () => {
  const error = new UserError("model.dim is 0.");
  assert.ok(error instanceof Error);
  assert.equal(`${error}`, "UserError: model.dim is 0.");
});
