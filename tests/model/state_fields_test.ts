// state.json with a valid hash and invalid fields: one line with the file, the field, the value and what was expected.
import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import { verifyCheckpoint } from "../../src/train/verify.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { sha256Hex } from "../../src/base/hash.ts";
import { resume } from "../../src/train/train.ts";
import { checkpoint, inFolder, latest, succeeds } from "../scripts/harness.ts";

type State = Record<string, unknown>;

/** Adds the hash to a state as heed does. */
function sealed(state: State): string {
  const text = JSON.stringify(state, null, 2);
  return `${text.slice(0, -2)},\n  "sha256": "${sha256Hex(new TextEncoder().encode(text))}"\n}\n`;
}

const WRONG: Record<string, [(state: State) => State, string]> = {
  "a text for a number": [
    (s) => ({ ...s, step: "3" }),
    'step: expected a whole number of at least 0, found "3".',
  ],
  "a negative count": [
    (s) => ({ ...s, counter: -1 }),
    "counter: expected a whole number of at least 0, found -1.",
  ],
  "half a step": [(s) => ({ ...s, step: 2.5 }), "step: expected a whole number of at least 0, found 2.5."],
  "another step": [
    (s) => ({ ...s, step: 2, best: null }),
    "step: expected 3, as its folder is named, found 2.",
  ],
  "a missing field": [({ device: _, ...s }) => s, "device: expected text, found nothing."],
  "a number for best": [(s) => ({ ...s, best: 3 }), "best: expected an object or null, found 3."],
  "a text in best": [
    (s) => ({ ...s, best: { step: 3, val_loss: "low" } }),
    'best.val_loss: expected a number, found "low".',
  ],
  "a best to come": [
    (s) => ({ ...s, best: { step: 9, val_loss: 1 } }),
    "best.step: expected at most the checkpoint's step 3, found 9.",
  ],
  "a loss of true": [(s) => ({ ...s, val_loss: true }), "val_loss: expected a number or null, found true."],
  "a list of staleness": [
    (s) => ({ ...s, stale: [] }),
    "stale: expected a whole number of at least 0, found a list of 0.",
  ],
  "a seal without a hash": [
    (s) => ({ ...s, log: { records: 4 } }),
    "log.sha256: expected 64 lower-case hexadecimal digits, found nothing.",
  ],
  "a short hash": [
    (s) => ({ ...s, data: "ab" }),
    'data: expected 64 lower-case hexadecimal digits, found "ab".',
  ],
  "code of numbers": [
    (s) => ({ ...s, code: [7] }),
    "code: expected a list, each entry an object of file (text), sha256 (64 lower-case hexadecimal digits), found a list of 1.",
  ],
  "no files": [({ files: _, ...s }) => s, "files: expected an object, found nothing."],
  "a file without a hash": [
    (s) => ({ ...s, files: { ...s.files as State, "config.yaml": null } }),
    "files.config.yaml: expected 64 lower-case hexadecimal digits, found null.",
  ],
};

Deno.test("a state.json with a valid hash and wrong types or ranges gives one line with the field, wherever it is opened", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=3", "sample.tokens=0"], folder);
    const run = latest(folder);
    const path = checkpoint(run);
    const place = `${path}/state.json`;
    const { sha256: _, ...state } = JSON.parse(await Deno.readTextFile(place));
    for (const [what, [change, message]] of Object.entries(WRONG)) {
      await Deno.writeTextFile(place, sealed(change(state)));
      const expected = `${place}: ${message}`;
      for (const open of [() => loadCheckpoint(run), () => resume(run)]) {
        const error = await open().then(() => undefined, (error: Error) => error);
        assert.ok(error instanceof UserError, `${what}: ${error?.stack}`);
        assert.equal(error.message, expected, what);
      }
      const [check] = await verifyCheckpoint(path, () => Promise.resolve(referenceDevice()));
      assert.deepEqual([check.passed, check.detail], [false, expected], what);
    }
  }));
