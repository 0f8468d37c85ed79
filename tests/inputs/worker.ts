// Runs scripts one after another in one process, each as if it were its own: what `Deno.exit` ends, and what it wrote to
// the standard output and error, go back over a socket. A proof of thousands of commands has no time for as many processes.

/** A command as it is asked for. */
export interface Asked {
  readonly task: string;
  readonly args: readonly string[];
}

/** How a command ended. */
export interface Ended {
  /** The exit code; null where the script threw. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The stack of what it threw. */
  readonly thrown?: string;
  readonly ms: number;
}

/** The end of a script, which is none of a user's own errors: it is thrown by the script. */
class Exit extends Error {
  constructor(readonly code: number) {
    super(`exit ${code}`);
    this.stack = `    at ${Deno.mainModule}:1:1`;
  }
}

/** The main function of a script, and the URL of its module. */
interface Main {
  readonly url: string;
  readonly run: () => Promise<never>;
}

/** What an output took, as text. */
function captured(output: { writeSync(bytes: Uint8Array): number }): () => string {
  const decoder = new TextDecoder();
  let text = "";
  output.writeSync = (bytes) => {
    if (text.length < 1e6) text += decoder.decode(bytes, { stream: true });
    return bytes.length;
  };
  return () => {
    const whole = text;
    text = "";
    return whole;
  };
}

/** The stack of an error, with those of its causes. */
const stackOf = (error: unknown): string =>
  error instanceof Error ? error.stack ?? String(error) : String(error);

/** The main function of a script, which its module would call: a module is evaluated once, and this as often as it is asked for. */
async function mainOf(task: string): Promise<Main> {
  const url = new URL(`../../scripts/${task}.ts`, import.meta.url);
  const source = (await Deno.readTextFile(url))
    .replace("\nawait cli.runCommand(", "\nexport const run = () => cli.runCommand(")
    .replaceAll('from "../', `from "${new URL("../", url).href}`)
    .replaceAll("import.meta.url", JSON.stringify(url.href));
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, source);
    return { url: `file://${path}`, run: (await import(`file://${path}`)).run };
  } finally {
    await Deno.remove(path);
  }
}

async function answerAll(port: number): Promise<void> {
  const connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  const [stdout, stderr] = [captured(Deno.stdout), captured(Deno.stderr)];
  const stray: string[] = [];
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    stray.push(stackOf(event.reason));
  });
  addEventListener("error", (event) => {
    event.preventDefault();
    stray.push(stackOf(event.error));
  });
  Deno.exit = (code) => {
    throw new Exit(code ?? 0);
  };
  const mains = new Map<string, Main>();
  const run = async ({ task, args }: Asked): Promise<Ended> => {
    const begun = performance.now();
    Object.defineProperty(Deno, "args", { value: args, configurable: true });
    let [code, thrown]: [number | null, string | undefined] = [null, undefined];
    try {
      if (!mains.has(task)) mains.set(task, await mainOf(task));
      const main = mains.get(task)!;
      Object.defineProperty(Deno, "mainModule", { value: main.url, configurable: true });
      await main.run();
    } catch (error) {
      if (error instanceof Exit) code = error.code;
      else thrown = stackOf(error);
    }
    // What a script left undone is its own.
    await new Promise((resume) => setTimeout(resume, 0));
    thrown ??= stray.splice(0)[0];
    return { code, stdout: stdout(), stderr: stderr(), thrown, ms: performance.now() - begun };
  };
  const [encoder, decoder] = [new TextEncoder(), new TextDecoder()];
  let read = "";
  for await (const bytes of connection.readable) {
    read += decoder.decode(bytes, { stream: true });
    for (let end = read.indexOf("\n"); end >= 0; end = read.indexOf("\n")) {
      const asked = JSON.parse(read.slice(0, end));
      read = read.slice(end + 1);
      let answer = encoder.encode(`${JSON.stringify(await run(asked))}\n`);
      while (answer.length > 0) answer = answer.subarray(await connection.write(answer));
    }
  }
}

if (import.meta.main) answerAll(Number(Deno.args[0]));
