// Scripts that write to a non-blocking pipe, as programs that multiplex their children create it: a reader that is slower
// than the writer loses nothing.
import assert from "node:assert/strict";
import { formatRecord } from "../../src/log/records.ts";
import {
  type Ended,
  inFolder,
  ROOT,
  type SCRIPTS,
  succeeds,
  taskArguments,
  TEXT,
  timeless,
} from "./harness.ts";

/** Runs `deno` with its arguments on stdout and stderr as pipes of one page that do not block. */
const LAUNCHER = `
const { symbols: { fcntl } } = Deno.dlopen("libc.so.6", {
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const [F_SETFL, O_NONBLOCK, F_SETPIPE_SZ] = [4, 0o4000, 1031];
for (const fd of [1, 2]) {
  if (fcntl(fd, F_SETPIPE_SZ, 4096) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) Deno.exit(99);
}
const child = new Deno.Command(Deno.execPath(), { args: Deno.args, stdin: "null" }).spawn();
Deno.exit((await child.status).code);
`;

/** All that a stream gives, read only after it has been full for a while. */
async function readLate(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    if (!text) await new Promise((resume) => setTimeout(resume, 500));
    text += piece;
  }
  return text;
}

/** Starts `deno` in a folder behind pipes that do not block. */
function startBehindPipes(args: readonly string[], cwd: string): Deno.ChildProcess {
  const launcher = `${cwd}/launcher.ts`;
  Deno.writeTextFileSync(launcher, LAUNCHER);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-ffi", "--allow-run", "--no-config", launcher, ...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs `deno` behind pipes that do not block and are read late. */
async function slowlyRead(args: readonly string[], cwd: string): Promise<Ended> {
  const process = startBehindPipes(args, cwd);
  const [stdout, stderr] = await Promise.all([readLate(process.stdout), readLate(process.stderr)]);
  return { code: (await process.status).code, stdout, stderr };
}

/** Checks that a script writes the same to a pipe that does not block as to one that does. */
async function writesAll(name: (typeof SCRIPTS)[number], args: string[], folder: string): Promise<void> {
  const expected = await succeeds(name, args, folder);
  assert.ok(expected.stdout.length > 3 * 4096, `${expected.stdout.length} bytes`);
  const { code, stdout, stderr } = await slowlyRead([...taskArguments(name), ...args], folder);
  assert.equal(code, 0, stderr);
  const [actual, complete] = [stdout, expected.stdout].map((text) =>
    timeless(text).replace(/"name":"[^"]*"/, "")
  );
  assert.ok(actual === complete, `${actual.length} bytes, expected ${complete.length}`);
}

/** A test of Linux, whose numbers the launcher has. */
const test = (name: string, body: (folder: string) => Promise<void>) =>
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn: () => inFolder(body) });

test("show writes every sample to a pipe that does not block", (folder) =>
  writesAll("show", ["tiny.yaml", "--samples", "80", "--format", "ndjson"], folder));

test("stats writes every row to a pipe that does not block", async (folder) => {
  const records = Array.from({ length: 200 }, (_, step) => {
    const of = { kind: "param", tap: "embed.weight", layer: null, head: null } as const;
    return formatRecord({ type: "stat", step, ...of, l2: step / 3 }) + "\n";
  });
  await Deno.writeTextFile(`${folder}/log.ndjson`, records.join(""));
  await writesAll("stats", ["log.ndjson", "--format", "ndjson"], folder);
});

test("train writes every record, and perplexity every token, to a pipe that does not block", async (folder) => {
  await writesAll("train", ["tiny.yaml", "train.steps=60", "--ndjson", "-"], folder);
  const args = ["runs/latest", "--text", TEXT.slice(0, 400), "--tokens", "--format", "ndjson"];
  await writesAll("perplexity", args, folder);
});

test("text of any lengths of lines arrives once through a pipe that does not block", async (folder) => {
  const program = `import { writeStdout } from ${JSON.stringify(new URL("src/log/log_file.ts", ROOT))};
    const text = Array.from({ length: 60 }, (_, n) => String(n).padEnd(n ** 3 % 6011, "=")).join("\\n");
    writeStdout(new TextEncoder().encode(text));`;
  await Deno.writeTextFile(`${folder}/program.ts`, program);
  const { code, stdout, stderr } = await slowlyRead(["run", "--no-config", "program.ts"], folder);
  assert.equal(code, 0, stderr);
  const text = Array.from({ length: 60 }, (_, n) => String(n).padEnd(n ** 3 % 6011, "=")).join("\n");
  assert.ok(stdout === text, `${stdout.length} bytes, expected ${text.length}`);
});

test("a script's and a hook's console lines on both streams arrive whole through pipes that do not block", async (folder) => {
  const program = `import { runCommand } from ${JSON.stringify(new URL("src/cli/command.ts", ROOT))};
    const command = { name: "example", summary: "", usage: "", options: {}, examples: [] };
    await runCommand(command, async () => {
      for (let n = 0; n < 300; n++) {
        console.error("error %d", n, "e".repeat(50));
        console.log("log", n, "l".repeat(50), { n });
      }
      return 3;
    });`;
  await Deno.writeTextFile(`${folder}/program.ts`, program);
  const { code, stdout, stderr } = await slowlyRead(["run", "--no-config", "program.ts"], folder);
  const lines = (line: (n: number) => string) =>
    Array.from({ length: 300 }, (_, n) => `${line(n)}\n`).join("");
  assert.equal(code, 3, stderr.slice(-300));
  assert.ok(stderr === lines((n) => `error ${n} ${"e".repeat(50)}`), `${stderr.length} bytes`);
  assert.ok(stdout === lines((n) => `log ${n} ${"l".repeat(50)} { n: ${n} }`), `${stdout.length} bytes`);
});

test("a reader that leaves a pipe that does not block ends a script quietly", async (folder) => {
  const process = startBehindPipes([...taskArguments("show"), "tiny.yaml", "--samples", "2000"], folder);
  const reader = process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal(await readLate(process.stderr), "");
  assert.equal((await process.status).code, 0);
});
