// An endless file (a pipe without a writer, a device, a socket) gives one line at once.
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadAttention } from "../../src/check/attention_implementation.ts";
import { loadConfig } from "../../src/config/mod.ts";
import { readFiles } from "../../src/data/files.ts";
import { loadTasks } from "../../src/data/task_files.ts";
import { makeTokenizer } from "../../src/data/tokenizer_file.ts";
import { UserError } from "../../src/base/errors.ts";
import { readLog } from "../../src/log/log_file.ts";
import { lineSplitter } from "../../src/log/log_lines.ts";
import { loadHooks } from "../../src/model/hooks.ts";
import { jsonOf } from "../../src/model/formats/model_folder.ts";
import { loadRunConfig } from "../../src/runs/find_runs.ts";
import { exportsOf } from "../../src/base/user_file.ts";

/** All readers of files that a user names. */
const READERS: Record<string, (path: string) => Promise<unknown>> = {
  configuration: (path) => loadConfig(path, []),
  text: (path) => readFiles([path]),
  tokenizer: (file) => {
    return makeTokenizer({ kind: "huggingface", unknown: "error", size: 512, file, crop: false }, ["a"]);
  },
  hooks: (file) => loadHooks({ hooks: { file } }),
  tasks: (file) => loadTasks(file),
  attention: (file) => loadAttention(file),
  "import of a user's file": async (path) => {
    const file = join(await Deno.makeTempDir(), "mine.ts");
    await Deno.writeTextFile(file, `import ${JSON.stringify(path)};`);
    await exportsOf(file, "--hooks");
  },
  "part of a model": (path) => jsonOf(path),
  log: (path) => Array.fromAsync(readLog(path)),
  "configuration of a run": async (path) => {
    const folder = await Deno.makeTempDir();
    await Deno.symlink(path, join(folder, "config.yaml"));
    await Deno.writeTextFile(join(folder, "log.ndjson"), "");
    await loadRunConfig(folder);
  },
};

/** The outcome of a reader, within two seconds. */
async function ending(reading: Promise<unknown>): Promise<string> {
  const { promise: late, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve("still reading"), 2000);
  const ended = reading.then(() => "was read", (error) => `${error instanceof UserError} ${error.message}`);
  return await Promise.race([ended, late]).finally(() => clearTimeout(timer));
}

Deno.test({
  name: "a pipe, a device or a socket is refused at once in the place of any file",
  ignore: Deno.build.os === "windows",
  async fn() {
    const folder = await Deno.makeTempDir();
    const [pipe, socket] = [join(folder, "pipe.ts"), join(folder, "socket.ts")];
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    using _ = Deno.listen({ transport: "unix", path: socket });
    for (const [what, read] of Object.entries(READERS)) {
      const outcome = await ending(read(pipe));
      // Releases a reader that waits for the pipe.
      if (outcome === "still reading") (await Deno.open(pipe, { read: true, write: true })).close();
      assert.match(outcome, /^true .*expected a file, found a pipe/, what);
    }
    for (const [what, read] of Object.entries(READERS)) {
      assert.match(await ending(read(socket)), /^true .*expected a file, found a socket/, what);
      assert.match(await ending(read("/dev/zero")), /^true .*expected a file, found a device/, what);
    }
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test("a log without newlines is refused before it fills memory, with the number of the line", () => {
  const split = lineSplitter("log.ndjson");
  split(new TextEncoder().encode("{}\n"));
  const chunk = new Uint8Array(2 ** 24);
  assert.throws(
    () => {
      for (let i = 0; i < 17; i++) split(chunk);
    },
    /^UserError: log\.ndjson: line 2: expected a record, found more than 256\.0 MiB\.$/,
  );
});
