// A process that runs commands one after another, with a limit on the time of each: one that hangs is ended, and the next
// command gets a new process.
import type { Asked, Ended } from "./worker.ts";

/** Runs commands in a folder. */
export interface Bench {
  /** Undefined where it took longer than `limit` milliseconds. */
  run(asked: Asked, limit: number): Promise<Ended | undefined>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Process {
  readonly child: Deno.ChildProcess;
  readonly connection: Deno.TcpConn;
  readonly lines: AsyncIterator<string>;
}

async function* linesOf(connection: Deno.TcpConn): AsyncGenerator<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of connection.readable) {
    text += decoder.decode(bytes, { stream: true });
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

async function begin(cwd: string, env: Record<string, string>): Promise<Process> {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const worker = new URL("worker.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--config", new URL("../../deno.json", import.meta.url).pathname],
      worker,
      String((listener.addr as Deno.NetAddr).port),
    ],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  const connection = await listener.accept();
  return { child, connection, lines: linesOf(connection) };
}

/** A bench whose commands run in `cwd`. */
export function bench(cwd: string, env: Record<string, string> = {}): Bench {
  let process: Process | undefined;
  const end = async () => {
    if (!process) return;
    try {
      process.child.kill("SIGKILL");
    } catch { /* It has ended. */ }
    await process.child.status;
    await process.lines.return?.().catch(() => {});
    process = undefined;
  };
  return {
    async run(asked, limit) {
      process ??= await begin(cwd, env);
      const line = new TextEncoder().encode(`${JSON.stringify(asked)}\n`);
      for (let done = 0; done < line.length;) done += await process.connection.write(line.subarray(done));
      const { promise: late, resolve } = Promise.withResolvers<undefined>();
      const timer = setTimeout(() => resolve(undefined), limit);
      const next = process.lines.next().catch(() => undefined);
      const answer = await Promise.race([next, late]);
      clearTimeout(timer);
      if (answer === undefined || answer.done) {
        const died = answer?.done;
        await end();
        return died ? { code: null, stdout: "", stderr: "", thrown: "the process ended", ms: 0 } : undefined;
      }
      return JSON.parse(answer.value);
    },
    [Symbol.asyncDispose]: end,
  };
}
