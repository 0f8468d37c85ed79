// Synthetic logs with the records that charts read.
import { formatRecord, type LogRecord } from "../../src/log/records.ts";
import { recordOf } from "../log/made_records.ts";

/** The contents of a synthetic log. */
export interface MadeLog {
  readonly steps: number;
  readonly layers?: number;
  readonly heads?: number;
  /** Steps between two `stat` records of a tensor. Default: no such records. */
  readonly every?: number;
  /** Steps between two evaluations. Default: no evaluations. */
  readonly evaluate?: number;
  readonly name?: string;
}

/** A statistic that depends on step and head. */
const moving = (step: number, layer: number, head: number): number =>
  1 + Math.cos(1 + layer + 2 * head) / 2 + Math.exp(-step / 100);

function* statistics(step: number, layers: number, heads: number): Generator<LogRecord> {
  for (let layer = 0; layer < layers; layer++) {
    const weight = `blocks.${layer}.attn.wq.weight`;
    const stat = { type: "stat", step, layer, head: null } as const;
    yield { ...stat, kind: "param", tap: weight, mean: 0, l2: 3 * (layer + 1) };
    yield { ...stat, kind: "param", tap: weight.replace("wq", "wk"), mean: 0, l2: 4 * (layer + 1) };
    yield { ...stat, kind: "param_grad", tap: weight, mean: 0, l2: Math.exp(-step / 100) };
    for (const head of [...Array(heads).keys(), null]) {
      const entropy = moving(step, layer, head ?? 0);
      const tap = `blocks.${layer}.attn.pattern`;
      yield { ...stat, head, kind: "act", tap, entropy, rowmass: 1, sink: entropy / 3 };
    }
  }
}

/** The records of a log, in order. */
export function* madeLog(
  { steps, layers = 2, heads = 2, every, evaluate, name = "made" }: MadeLog,
): Generator<LogRecord> {
  yield recordOf("run", { name });
  for (let step = 1; step <= steps; step++) {
    const loss = step === 7 ? NaN : 2 + 2 * Math.exp(-step / 200);
    const progress = { samples: 4 * step, tokens: 64 * step, counter: 5 * step, epoch: step / 100 };
    const speed = { lr: 1e-3, grad_norm: 1, clipped: false, ms: 500, tokens_per_s: 128 };
    yield { type: "step", step, ...progress, loss, ...speed };
    if (every && step % every === 0) yield* statistics(step, layers, heads);
    if (!evaluate || step % evaluate) continue;
    const [accuracy, perplexity, tokens] = [0.5, Math.exp(loss), 64];
    yield {
      type: "eval",
      step,
      split: "val",
      loss: loss + 0.1,
      perplexity,
      accuracy,
      tokens,
      answer_accuracy: 0.25,
    };
  }
}

/** Writes a log in pieces, so that a long one need not fit in memory. */
export async function writeLog(path: string, records: Iterable<LogRecord>): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  let held = "";
  const flush = async () => {
    const bytes = new TextEncoder().encode(held);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    held = "";
  };
  for (const record of records) {
    held += formatRecord(record) + "\n";
    if (held.length > 1e6) await flush();
  }
  await flush();
}

/** Runs `body` with the path of a temporary log. */
export async function withLog(log: MadeLog, body: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".ndjson" });
  try {
    await writeLog(path, madeLog(log));
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}
