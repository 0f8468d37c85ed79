// Some of the tries of deno task prove_inputs: each command answers, or refuses in one line.
import assert from "node:assert/strict";
import { failedTries } from "./tries.ts";

Deno.test("random options of every task, configurations and damaged files: no stack, no hang, nothing half-written, one line", async () => {
  const failures = await failedTries({ options: 220, configurations: 20, files: 40, seed: 1 });
  // How long a command takes is measured by deno task prove_inputs, on a machine that has nothing else to do.
  assert.deepEqual(failures.filter(({ fault }) => !fault.startsWith("slow")), []);
});
