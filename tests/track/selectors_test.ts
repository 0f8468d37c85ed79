// Selectors: globs, kinds, exclusions, and when entries are due.
import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import { globOf } from "../../src/base/glob.ts";
import {
  checkSelectors,
  dueAt,
  dueSets,
  type Kind,
  selection,
  type Subject,
} from "../../src/track/selectors.ts";

Deno.test("a glob: * matches within one part, ** anything, all else itself", () => {
  const matches: [string, string, boolean][] = [
    ["blocks.*.attn.*", "blocks.0.attn.q", true],
    ["blocks.*.attn.*", "blocks.0.attn.wq.weight", false],
    ["blocks.*.attn.**", "blocks.0.attn.wq.weight", true],
    ["**", "embed", true],
    ["**", "blocks.0.ln1", true],
    ["**.bias", "final_norm.bias", true],
    ["**.bias", "bias", true],
    ["**.bias", "blocks.0.ln1.weight", false],
    ["blocks.**.weight", "blocks.0.attn.wq.weight", true],
    ["blocks.1*", "blocks.12", true],
    ["embed", "pos_embed", false],
    ["**_out", "blocks.0.attn_out", true],
    ["blocks.**.weight", "blocks.weight", true],
    ["**.bias", "xbias", false],
    ["a+b", "aab", false],
    ["blocks.0.ln1", "blocksx0xln1", false],
  ];
  for (const [pattern, name, expected] of matches) {
    assert.equal(globOf(pattern)(name), expected, `${pattern} on ${name}`);
  }
});

const on = (kind: Kind, name: string): Subject => ({ kind, name });

Deno.test("selectors: a kind narrows, ! excludes, everything is everything, and only exclusions start from everything", () => {
  const chosen = selection(["act:blocks.*.attn.*", "param:**", "!**.bias"]);
  assert.equal(chosen(on("act", "blocks.3.attn.z")), true);
  assert.equal(chosen(on("grad", "blocks.3.attn.z")), false);
  assert.equal(chosen(on("param", "embed.weight")), true);
  assert.equal(chosen(on("param", "final_norm.bias")), false);
  assert.equal(selection(["everything"])(on("opt", "x.exp_avg")), true);
  assert.equal(selection(["!grad:**"])(on("act", "embed")), true);
  assert.equal(selection(["!grad:**"])(on("grad", "embed")), false);
  assert.equal(selection(["embed"])(on("grad", "embed")), true);
});

Deno.test("an unknown kind and a selector that matches nothing are reported with the closest", () => {
  assert.throws(() => selection(["acts:embed"]), {
    name: UserError.name,
    message: /"acts".*Did you mean "act"/,
  });
  assert.throws(
    () => checkSelectors("track.0.select", ["blocks.0.atn.q"], [on("act", "blocks.0.attn.q")]),
    {
      message:
        'track.0.select: "blocks.0.atn.q" matches nothing that this model has. Did you mean "blocks.0.attn.q"?',
    },
  );
  assert.doesNotThrow(() => checkSelectors("track", ["!embed"], [on("act", "embed")]));
});

Deno.test("a selector that matches nothing hints the pattern, kind or name that does, of its own kind", () => {
  const subjects = [
    on("act", "blocks.0.attn.q"),
    ...["blocks.0.attn.wq.weight", "blocks.0.mlp.fc.weight", "embed.weight"].map((name) => on("param", name)),
  ];
  const hints: [string, string][] = [
    ["param:blocks.0.attn.*", 'Did you mean "blocks.0.attn.**"?'],
    ["grad:blocks.*.attn.q", 'Did you mean "act:blocks.*.attn.q"?'],
    ["!act:embed.weight", 'Did you mean "!param:embed.weight"?'],
    ["param:blocks.0.attn.q", 'Did you mean "act:blocks.0.attn.q"?'],
    ["param:blocks.0.norm", "Known: blocks.0.attn.wq.weight, blocks.0.mlp.fc.weight, embed.weight."],
    ["blocks.0.atn.*", 'Did you mean "blocks.0.attn.q"?'],
  ];
  for (const [selector, hint] of hints) {
    assert.throws(() => checkSelectors("track.0.select", [selector], subjects), {
      message: `track.0.select: "${selector}" matches nothing that this model has. ${hint}`,
    });
  }
});

Deno.test("entries are due at multiples of their cadence; all sets due together are listed", () => {
  const watched = [2, 3, 6].map((every) => ({ select: ["everything"], every }));
  assert.deepEqual([1, 2, 3, 4, 6].map((step) => dueAt(watched, step)), [[], [0], [1], [0], [0, 1, 2]]);
  assert.deepEqual(dueSets(watched, 5), [[0], [1]]);
  assert.deepEqual(dueSets(watched, 6), [[0], [1], [0, 1, 2]]);
  assert.deepEqual(dueSets([], 1000), []);
});
