// The forward pass as a function: independent rows, padding on either side, and intermediate tensors.
import assert from "node:assert/strict";
import { forward } from "../../src/interpret/forward.ts";
import { tokenLosses } from "../../src/interpret/perplexity.ts";
import { logSoftmax } from "../../src/generate/sampling.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { TINY } from "../nn/options.ts";
import { randomModel } from "./random_model.ts";

/** A row of a tensor [B, T, D]: position t of row b. */
function at(
  { shape: [, T, D], values }: { shape: readonly number[]; values: ArrayLike<number> },
  b: number,
  t: number,
) {
  return Array.from({ length: D }, (_, d) => values[(b * T + t) * D + d]);
}

Deno.test("the logits of a text equal those of its ids, alone or in a batch, and give the losses of the text", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "batch");
  const texts = ["abcdef", "kj", "cafe"];
  const batch = await forward(device, model, texts);
  assert.deepEqual(batch.logits.shape, [3, 6, TINY.vocabulary]);
  const losses = await tokenLosses(device, model, batch.ids);
  for (const [b, text] of texts.entries()) {
    const alone = await forward(device, model, text);
    const ids = await forward(device, model, model.tokenizer.encode(text));
    assert.deepEqual(alone.logits, ids.logits);
    assert.deepEqual(batch.ids[b], alone.ids[0]);
    for (let t = 0; t < text.length; t++) {
      assert.deepEqual(at(batch.logits, b, t), at(alone.logits, 0, t), `${text}, position ${t}`);
    }
    for (let t = 0; t + 1 < text.length; t++) {
      const loss = -logSoftmax(at(alone.logits, 0, t))[alone.ids[0][t + 1]];
      assert.ok(Math.abs(loss - losses[b][t]) < 1e-12, `${text}, position ${t}`);
    }
  }
});

Deno.test("padding on either side, and in between, changes nothing", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "padding");
  const plain = await forward(device, model, [3, 1, 4]);
  const rows = [[3, 1, 4, 0, 9], [0, 9, 3, 1, 4], [3, 9, 1, 4, 0]];
  const mask = [[1, 1, 1, 0, 0], [false, false, true, true, true], [1, 0, 1, 1, 0]];
  const { logits, ids } = await forward(device, model, rows, { mask });
  assert.deepEqual(logits.shape, [3, 3, TINY.vocabulary]);
  for (let b = 0; b < 3; b++) {
    assert.deepEqual([...ids[b]], [3, 1, 4]);
    for (let t = 0; t < 3; t++) assert.deepEqual(at(logits, b, t), at(plain.logits, 0, t));
  }
});

Deno.test("taps return intermediate tensors: the final norm's row times the head is the row of logits", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, { ...TINY, tied: false }, "taps");
  const { taps, logits } = await forward(device, model, ["abc", "fade"], {
    taps: ["final_norm", "blocks.*.attn.q", "logits"],
  });
  assert.deepEqual(Object.keys(taps).sort(), ["blocks.0.attn.q", "blocks.1.attn.q", "final_norm", "logits"]);
  assert.deepEqual(taps["blocks.0.attn.q"].shape, [2, 4, TINY.heads, TINY.dim / TINY.heads]);
  assert.deepEqual(taps.logits, logits);
  const [head] = await device.read(["taps unembed.weight"]);
  const x = at(taps.final_norm, 1, 3);
  const expected = Array.from(
    { length: TINY.vocabulary },
    (_, v) => x.reduce((sum, xd, d) => sum + xd * head[v * TINY.dim + d], 0),
  );
  at(logits, 1, 3).forEach((logit, v) => assert.ok(Math.abs(logit - expected[v]) < 1e-12));
});

Deno.test("invalid inputs are refused with one line that names the row", async () => {
  using device = referenceDevice();
  const model = randomModel(device, TINY, "refused");
  const refused = async (
    given: Parameters<typeof forward>[2],
    options: Parameters<typeof forward>[3],
    message: RegExp,
  ) =>
    await assert.rejects(forward(device, model, given, options), (error: Error) => {
      assert.ok(error instanceof UserError, error.stack);
      assert.match(error.message, message);
      return true;
    });
  await refused([], {}, /expected at least one row/);
  await refused([[1], []], {}, /^Row 1 has no tokens/);
  await refused([[1, 2]], { mask: [[0, 0]] }, /^Row 0 has no tokens/);
  await refused([[1, 2]], { mask: [[1]] }, /^mask: row 0 has 1 entries, expected one for each of 2 ids/);
  await refused([[1, 2]], { mask: [] }, /^mask: found 0 rows, expected 1/);
  await refused([[1, TINY.vocabulary]], {}, /^Row 0, id 1: found \d+, expected 0 to/);
  await refused([[1, -1]], {}, /^Row 0, id 1: found -1/);
  await refused(
    [Array(TINY.context + 1).fill(0)],
    {},
    /^Row 0 has \d+ tokens, expected 1 to the model's context/,
  );
  await refused("ab", { mask: [[1, 1]] }, /a text has no padding/);
  await refused("ab", { taps: ["blocks.0.atn.q"] }, /names no tensor of the model.*blocks\.0\.attn\.q/);
});
