// The memory cost of a small text: a few times its size plus a fixed amount of garbage.
import assert from "node:assert/strict";
import { MEMORY_CASES, memoryOfText } from "./peak_memory.ts";

const TEXT_BYTES = 10e6;
/** Garbage that V8 accumulates before collecting, independent of the text's length. */
const GARBAGE_BYTES = 64e6;

for (const name of ["char", "line", "ids"]) {
  const { bound } = MEMORY_CASES[name];
  Deno.test({
    name: `a run on 10 MB of text takes at most ${bound} times that more than on a tiny text: ${name}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      const bytes = await memoryOfText(MEMORY_CASES[name], TEXT_BYTES);
      const most = bound * TEXT_BYTES + GARBAGE_BYTES;
      assert.ok(bytes <= most, `${(bytes / 1e6).toFixed(0)} MB, expected at most ${most / 1e6}`);
    },
  });
}
