// Opens runs in every way that a person does, in one process: reads a line of JSON for each, writes one with how it ended.
import {
  findRuns,
  generateTexts,
  loadCheckpoint,
  openDevice,
  openModel,
  perplexityOf,
  resolveRun,
  resume,
  tokenLosses,
  UserError,
  verifyCheckpoint,
} from "../../mod.ts";
import { UserCodeError } from "../../src/base/errors.ts";
import { messageLine } from "../../src/base/terminal.ts";

/** The ways, as the tasks go them. */
export const WAYS = ["verify_load", "generate", "perplexity", "runs", "resume"] as const;

/** How one of them ended: the exit code of the task, and what it said; 1 with a stack is a bug. */
export interface Opened {
  readonly code: number;
  readonly said: string;
}

/** A training that is sound goes on; it is stopped as Ctrl-C does. */
const RESUME_MS = 2000;

const asks: Record<(typeof WAYS)[number], (run: string, runs: string) => Promise<Opened>> = {
  async verify_load(run) {
    const { checkpoint } = await resolveRun(run);
    if (!checkpoint) throw new UserError(`${run}: the run has no checkpoint yet.`);
    const checks = await verifyCheckpoint(checkpoint, () => openDevice("cpu"));
    const failed = checks.filter(({ passed }) => !passed);
    return {
      code: failed.length ? 1 : 0,
      said: failed.map(({ name, detail }) => `${name}: ${detail}`).join("; "),
    };
  },
  async generate(run) {
    const checkpoint = await loadCheckpoint(run);
    const { prompt, temperature, top_k: topK, seed } = checkpoint.config.sample;
    using opened = await openModel(checkpoint, { device: "cpu", passes: 3, positions: 1 });
    const options = { tokens: 3, temperature, topK, seed };
    const [{ text }] = await generateTexts(opened.device, opened.model, [prompt], options);
    return { code: 0, said: text };
  },
  async perplexity(run) {
    const checkpoint = await loadCheckpoint(run);
    const ids = checkpoint.tokenizer.encode(checkpoint.config.sample.prompt);
    using opened = await openModel(checkpoint, { device: "cpu", passes: 1, positions: 2 * ids.length });
    const { loss } = perplexityOf(await tokenLosses(opened.device, opened.model, [ids]));
    return { code: 0, said: String(loss) };
  },
  async runs(_, runs) {
    return { code: 0, said: `${(await findRuns(runs)).length} runs` };
  },
  async resume(run) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), RESUME_MS);
    try {
      const { finished, diverged, step } = (await resume(run, { signal: stop.signal }))!;
      return { code: diverged ? 3 : finished ? 0 : 130, said: `step ${step}` };
    } finally {
      clearTimeout(timer);
    }
  },
};

async function open(way: (typeof WAYS)[number], run: string, runs: string): Promise<Opened> {
  try {
    return await asks[way](run, runs);
  } catch (error) {
    if (
      error instanceof UserError || error instanceof UserCodeError || error instanceof Deno.errors.NotCapable
    ) {
      return { code: 2, said: messageLine(error.message) };
    }
    return { code: 1, said: `STACK ${(error as Error)?.stack ?? error}` };
  }
}

if (import.meta.main) {
  const decoder = new TextDecoderStream();
  Deno.stdin.readable.pipeTo(decoder.writable);
  let rest = "";
  for await (const part of decoder.readable) {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const { way, run, runs } = JSON.parse(line);
      console.log(`@${JSON.stringify(await open(way, run, runs))}`);
    }
  }
}
