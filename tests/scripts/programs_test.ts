// Programs of examples/ run, print what they promise, and are short.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { inFolder, ROOT } from "./harness.ts";

/** Arguments and the expected last line. */
const PROGRAMS: Readonly<Record<string, readonly [args: readonly string[], last: RegExp]>> = {
  "own_kernel.ts": [[], /^(reference|webgpu) y -8 -0\.125 0 1 27 dx 12 0\.75 0 3 27$/],
  "encoder_block.ts": [[], /^y: 192 elements, sum of squares [\d.]+; \|dL\/dwq\| = [\d.]+$/],
  "cross_attention.ts": [[], /^step 59: loss 0\.[0-5]\d+$/],
  "training_loop.ts": [[], /^step 159: loss [23]\.\d+$/],
  "seeds.ts": [["2", "2"], /^sigmoid - softmax: -?[\d.]+ \+- [\d.]+$/],
};

for (const [name, [args, last]] of Object.entries(PROGRAMS)) {
  Deno.test(`examples/${name} runs, in under 60 lines`, () =>
    inFolder(async (folder) => {
      const path = fileURLToPath(new URL(`examples/${name}`, ROOT));
      assert.ok(Deno.readTextFileSync(path).split("\n").length < 61);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", path, ...args],
        cwd: folder,
        env: { NO_COLOR: "1" },
      }).output();
      assert.equal(code, 0, new TextDecoder().decode(stderr));
      assert.match(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1)!, last);
    }));
}
