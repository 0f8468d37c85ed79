// Globs over dotted names: their meaning, and linear time for any number of stars.
import assert from "node:assert/strict";
import { globOf } from "../../src/base/glob.ts";

Deno.test("* matches within a part, ** across dots, **. any parts or none", () => {
  const cases: [string, string[], string[]][] = [
    ["blocks.*.attn.*", ["blocks.0.attn.q"], ["blocks.0.attn", "blocks.0.attn.q.x", "blocks..attn.q.x"]],
    ["**.bias", ["bias", "final_norm.bias", "a.b.bias", ".bias"], ["abias", "bias.a"]],
    ["blocks.**", ["blocks.", "blocks.0.attn"], ["blocks"]],
    ["*", ["", "a"], ["a.b"]],
    ["**", ["", "a.b"], []],
    ["a+(b)[c]$", ["a+(b)[c]$"], ["aab"]],
    ["**.x*", ["x", "xy", "a.xy"], ["x.y", "ax"]],
  ];
  for (const [pattern, matched, others] of cases) {
    const matches = globOf(pattern);
    for (const name of matched) assert.ok(matches(name), `${pattern} on ${name}`);
    for (const name of others) assert.ok(!matches(name), `${pattern} on ${name}`);
  }
});

Deno.test("a pattern of 7 stars is matched against a name of 60 letters at once", () => {
  const began = performance.now();
  assert.equal(globOf("*a".repeat(7) + "b")("a".repeat(60)), false);
  assert.ok(performance.now() - began < 500, `${performance.now() - began} ms`);
});
