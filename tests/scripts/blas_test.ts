// Training with a BLAS: what --blas accepts, what the log says, and that its bytes do not depend on the number of threads.
import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { compileBlas, HAS_COMPILER } from "../device/cpu/test_blas.ts";
import { ended, inFolder, latest, logOf, script, start, timeless } from "./harness.ts";

/** Large enough for products that the library computes. */
const RUN = ["tiny.yaml", "model.dim=64", "train.batch=16"];
const FFI = { added: "--allow-ffi" };

Deno.test("train_native is train with --allow-ffi", () => {
  const { train, train_native } = project.tasks;
  assert.equal(train_native.command, train.command.replace(" scripts/", " --allow-ffi scripts/"));
});

Deno.test("--blas without permission, or with a file that is no BLAS, is an error of one line before the run", () =>
  inFolder(async (folder) => {
    for (const choice of ["auto", "text.txt"]) {
      const { code, stdout, stderr } = await script("train", [...RUN, "--blas", choice], folder);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, /^train: blas: no permission .* deno task train_native.*\n$/);
    }
    const none = await script("train", [...RUN, "--blas", "none.so"], folder, FFI);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /^train: blas: .*none\.so.*\n$/);
    const { code } = await script("train", [...RUN, "--blas", "none"], folder);
    assert.equal(code, 0);
  }));

Deno.test({
  name:
    "a run with a BLAS logs it, writes the same bytes for any number of threads, and its jobs and hints name it",
  ignore: !HAS_COMPILER,
  fn: () =>
    inFolder(async (folder) => {
      const blas = await compileBlas(folder, "openblas");
      const logs: string[] = [];
      for (const threads of ["1", "3"]) {
        const args = [...RUN, "--blas", blas, "--threads", threads, "output.dir=runs"];
        const { code, stderr } = await script("train", args, folder, FFI);
        assert.equal(code, 0, stderr);
        assert.match(
          stderr,
          /\ndevice: CPU \(WebAssembly, \w+ multiply-add, OpenBLAS 1\.2\.3\): as requested\n/,
        );
        const [first, ...rest] = timeless(logOf(latest(folder))).split("\n");
        assert.equal(JSON.parse(first).device.blas, "OpenBLAS 1.2.3 FOR_TESTS");
        logs.push(rest.join("\n"));
      }
      assert.equal(logs[0], logs[1]);
      const { stdout } = await script("train", [...RUN, "seed=[1,2]", "--blas", blas, "--jobs"], folder, FFI);
      for (const line of stdout.trimEnd().split("\n")) {
        const { command } = JSON.parse(line);
        assert.deepEqual([...command.slice(0, 3), ...command.slice(-2)], [
          ...["deno", "task", "train_native"],
          ...["--blas", blas],
        ]);
      }
      const long = start("train", [...RUN, "train.steps=100000", "--blas", blas], folder, FFI);
      setTimeout(() => long.kill("SIGINT"), 3000);
      const stopped = await ended(long);
      assert.equal(stopped.code, 130, stopped.stderr);
      assert.match(
        stopped.stderr,
        /Resume with: deno task train_native --blas \S+\/libblas_openblas\.so --resume runs\/tiny\//,
      );
    }),
});
