// Verifies that a checkpoint loads with the saved values: deno task verify_load runs/latest
import * as heed from "../mod.ts";
import { cli, forwardWork, openDevice, resolveRun, UserError, verifyCheckpoint } from "../mod.ts";

const command: cli.Command = {
  name: "verify_load",
  summary: "verifies a checkpoint: hashes, parameters, configuration, tokenizer, logits, loss",
  usage: "[run or checkpoint] [options]",
  options: {
    device: { ...cli.DEVICE_OPTION, help: "the device; default: the checkpoint's" },
    format: cli.formatOption("one object per check"),
  },
  examples: ["deno task verify_load runs/latest", "deno task verify_load runs/latest/checkpoints/best"],
  exits: { 1: "a check failed" },
};

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.formatOf(values);
  const path = cli.runArgument(positionals);
  const { checkpoint } = await resolveRun(path);
  if (!checkpoint) throw new UserError(`${path}: the run has no checkpoint yet.`);
  const checks = await verifyCheckpoint(checkpoint, (model, device) => {
    const { train: { batch }, model: { context } } = model.config;
    // An estimate: the checks run about as many forward passes as there are evaluation batches.
    const work = () => forwardWork(model, { passes: 100, positions: batch * context });
    return openDevice(values.device ?? device, work);
  });
  for (const { name, passed, skipped = false, detail } of checks) {
    if (format === "ndjson") cli.printRecord({ type: "check", checkpoint, name, passed, skipped, detail });
    else cli.printLine(`${skipped ? "--  " : passed ? "ok  " : "FAIL"} ${name}: ${detail}`);
  }
  const failed = checks.filter((check) => !check.passed);
  const skipped = checks.filter((check) => check.skipped);
  const but = skipped.length ? `, except ${skipped.length} checks that need its code, which was not run` : "";
  if (format === "table") {
    cli.printLine(
      failed.length
        ? `${checkpoint}: ${failed.length} of ${checks.length} checks failed`
        : `${checkpoint}: verified${but}`,
    );
  }
  return failed.length ? 1 : 0;
}, heed);
