// Complete records of an imaginary run, of which a test changes the fields that it is about.
import type { LogRecord } from "../../src/log/records.ts";

type Type = LogRecord["type"];
type Of<T extends Type> = Extract<LogRecord, { type: T }>;

const WHOLE: { readonly [T in Type]: Of<T> } = {
  run: {
    type: "run",
    name: "made",
    time: "2025-01-02T03:04:05.678Z",
    heed: "0.1.0",
    deno: "2.9.6",
    device: { kind: "cpu", adapter: null, software: true },
    seed: 1,
    config: {},
    parameters: 10,
    tokens_per_step: 64,
    memory: { parameters: 40, optimizer: 80, activations: 1, total: 121 },
    git: null,
  },
  step: {
    type: "step",
    step: 1,
    samples: 4,
    tokens: 64,
    counter: 5,
    epoch: 0.01,
    loss: 2,
    lr: 1e-3,
    grad_norm: 1,
    clipped: false,
    ms: 500,
    tokens_per_s: 128,
  },
  stat: { type: "stat", step: 1, kind: "act", tap: "embed", layer: null, head: null },
  eval: { type: "eval", step: 1, split: "val", loss: 2, perplexity: 7.4, accuracy: 0.5, tokens: 64 },
  jacobian: {
    type: "jacobian",
    step: 1,
    layer: 0,
    head: 0,
    activation: "softmax",
    method: "bp",
    rows: 64,
    rows_zero: 0,
    batches: 2,
    visible_keys: 8.5,
  },
  sample: {
    type: "sample",
    step: 1,
    prompt: "The ",
    text: "The end",
    temperature: 0.8,
    top_k: null,
    top_p: null,
    seed: 1,
  },
  checkpoint: { type: "checkpoint", step: 1, path: "checkpoints/1", sha256: "ab".repeat(32), val_loss: 2 },
  warning: { type: "warning", step: null, code: "odd", message: "Odd.", tap: null },
  done: { type: "done", step: 1, seconds: 1.5, best: { step: 1, val_loss: 2 }, files: ["log.ndjson"] },
};

/** A complete record of a type, with some fields changed and others added. */
export function recordOf<T extends Type>(type: T, fields: Partial<Of<T>> = {}): Of<T> {
  return { ...WHOLE[type], ...fields };
}
