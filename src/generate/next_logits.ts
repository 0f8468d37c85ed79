// Computes next-token logits of growing texts. Keys and values are cached on the device; if that is impossible, the last
// `context` tokens are recomputed.
import type { LanguageModel } from "../model/model.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import type { Tokenizer } from "../data/mod.ts";
import type { Device, Program } from "../device/device.ts";
import type { Workload } from "../device/probe.ts";
import { assign, input, reshape } from "../graph/structure.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { keyCache } from "../nn/cache.ts";
import { decoder } from "../nn/decoder.ts";
import { periodicYield } from "../base/hear.ts";
import { checkLogits } from "../model/finite.ts";

/** Computes next-token logits of growing texts. */
export interface NextLogits extends Disposable {
  /** Converts between text and ids. It may have fewer ids than the model. */
  readonly tokenizer: Tokenizer;
  /**
   * Returns the logits after the last id of each text, over the model's full vocabulary, including ids without a token. From
   * one call to the next, a text may only grow at its end.
   *
   * @param texts one per row, each with at least one id
   * @throws {UserError} if the logits are not finite
   */
  next(texts: readonly (readonly number[])[]): Promise<ArrayLike<number>[]>;
  /** Reorders the cached rows: in the next call, text i continues the text that had the index `parents[i]`. */
  reorder(parents: readonly number[]): Promise<void>;
  /** Why the last pass recomputed whole texts; undefined if it computed only new tokens. */
  readonly whole: string | undefined;
}

/** Returns a cache of programs, keyed by number of positions; a program is compiled when it is first used. */
function programs(compile: (length: number) => Promise<Program>) {
  const compiled = new Map<number, Program>();
  return {
    async of(length: number): Promise<Program> {
      const program = compiled.get(length) ?? await compile(length);
      compiled.set(length, program);
      return program;
    },
    close: () => compiled.forEach((program) => program[Symbol.dispose]()),
  };
}

/** Returns the logits of a pass over `count` new positions per row, and the states that cache the keys and values of the pass. */
function cachedGraph({ architecture, parameters }: LanguageModel, rows: number, count: number) {
  const cache = keyCache(rows, count, architecture.context);
  const ids = input("ids", [rows, count], "u32");
  const logitRows = input("logitRows", [rows], "u32");
  const logits = decoder(architecture, parameters, ids, { cache, logitRows });
  return { logits, states: cache.states };
}

/**
 * Returns the logits of a pass over whole texts. Hooks may use the logits of all positions, so if there are hooks, the rows
 * `logitRows` are selected after all logits are computed.
 */
function wholeGraph({ architecture, parameters }: LanguageModel, rows: number): Tensor {
  const { context, vocabulary, hooks } = architecture;
  const ids = input("ids", [rows, context], "u32");
  const logitRows = input("logitRows", [rows], "u32");
  if (!hooks) return decoder(architecture, parameters, ids, { logitRows });
  const all = decoder(architecture, parameters, ids);
  return embedding(reshape(all, [rows * context, vocabulary]), logitRows);
}

const passPositions = (context: number, count: number): number =>
  Math.min(context, 2 ** Math.ceil(Math.log2(count)));

/**
 * Returns the passes that continue `rows` texts of `length` tokens by `tokens` tokens, to estimate the memory and time of
 * these passes.
 */
export function generationWork(
  model: LanguageModel,
  rows: number,
  length: number,
  tokens: number,
): Workload[] {
  const { context, hooks } = model.architecture;
  // The last added token is never the input of a pass.
  const cached = hooks || length > context ? 0 : Math.min(tokens, context - length + 1);
  const pass = (logits: Tensor, runs: number): Workload => {
    return { graph: { outputs: { logits } }, runs, reads: runs };
  };
  const cachedPass = (count: number, runs: number) => pass(cachedGraph(model, rows, count).logits, runs);
  return [
    ...(cached > 0 ? [cachedPass(passPositions(context, length), 1)] : []),
    ...(cached > 1 ? [cachedPass(1, cached - 1)] : []),
    ...(tokens > cached ? [pass(wholeGraph(model, rows), tokens - cached)] : []),
  ];
}

/**
 * Returns the inputs of a pass over `count` positions per row: the ids of each text from index `starts[row]` on, right-padded
 * with 0, the position of each id in its text, and `logitRows`, the index of each text's last id among all ids of the pass.
 */
function feedsOf(texts: readonly (readonly number[])[], starts: readonly number[], count: number) {
  const ids = new Uint32Array(texts.length * count);
  const positions = new Uint32Array(ids.length);
  texts.forEach((text, row) => {
    ids.set(text.slice(starts[row]), row * count);
    for (let t = 0; t < count; t++) positions[row * count + t] = starts[row] + t;
  });
  const logitRows = Uint32Array.from(texts, (text, row) => row * count + text.length - starts[row] - 1);
  return { ids, positions, logitRows };
}

/**
 * Prepares a model to compute the next-token logits of `rows` texts. The device caches each block's keys and values; a call
 * computes only the new tokens. For a text longer than the model's context, the last `context` tokens are recomputed in every
 * call, and so are all texts of a model with hooks, which may use any position.
 *
 * @param options `cache`: false recomputes every text in every call
 *
 * @example
 * ```ts
 * import { languageModelOf, loadCheckpoint, openDevice } from "../../mod.ts";
 * import { nextLogits } from "./mod.ts";
 * import { putModel } from "../model/mod.ts";
 * const model = await loadCheckpoint("runs/latest");
 * using device = await openDevice("cpu");
 * putModel(device, model);
 * using reader = await nextLogits(device, languageModelOf(model), 1);
 * const [logits] = await reader.next([[...model.tokenizer.encode("The ")]]);
 * console.log(logits.length); // the model's vocabulary
 * ```
 */
// deno-lint-ignore require-await
export async function nextLogits(
  device: Device,
  model: LanguageModel,
  rows: number,
  { cache = true }: { cache?: boolean } = {},
): Promise<NextLogits> {
  const { architecture: { context, vocabulary, hooks }, tokenizer } = model;
  const cached = programs((count) =>
    device.compile({ outputs: { logits: cachedGraph(model, rows, count).logits } })
  );
  const fullPass = programs(() => device.compile({ outputs: { logits: wholeGraph(model, rows) } }));
  const cachedTokens = new Array<number>(rows).fill(0);
  let reorderProgram: Program | undefined;
  let reason: string | undefined;
  const yieldIfDue = periodicYield();
  const reasonFor = (longest: number): string | undefined => {
    if (!cache) return "the cache is off";
    if (hooks) return "hooks may use any position";
    return longest > context ? `the context of ${context} positions is full` : undefined;
  };
  const runCached = async (texts: readonly (readonly number[])[]): Promise<Program> => {
    // For a text that has not grown, the last token is read again.
    const starts = texts.map((text, row) => Math.min(cachedTokens[row], text.length - 1));
    const longest = texts.reduce((longest, text, row) => Math.max(longest, text.length - starts[row]), 0);
    const count = passPositions(context, longest);
    const program = await cached.of(count);
    program.run({ ...feedsOf(texts, starts, count), start: Float32Array.from(starts) });
    texts.forEach((text, row) => cachedTokens[row] = text.length);
    return program;
  };
  const runWhole = async (texts: readonly (readonly number[])[]): Promise<Program> => {
    const seen = texts.map((text) => text.slice(-context));
    const { ids, logitRows } = feedsOf(seen, seen.map(() => 0), context);
    const program = await fullPass.of(context);
    program.run({ ids, logitRows });
    return program;
  };
  return {
    tokenizer,
    get whole() {
      return reason;
    },
    async next(texts) {
      reason = reasonFor(texts.reduce((longest, text) => Math.max(longest, text.length), 0));
      const program = await (reason === undefined ? runCached : runWhole)(texts);
      const [logits] = await program.read(["logits"]);
      await yieldIfDue();
      const rows = texts.map((_, row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));
      rows.forEach(checkLogits);
      return rows;
    },
    async reorder(parents) {
      if (reason !== undefined || parents.every((parent, row) => parent === row)) return;
      reorderProgram ??= await device.compile({ effects: reorderGraph(model, rows) });
      reorderProgram.run({ parents: Uint32Array.from(parents) });
      const before = cachedTokens.slice();
      parents.forEach((parent, row) => cachedTokens[row] = before[parent]);
    },
    [Symbol.dispose]() {
      cached.close();
      fullPass.close();
      reorderProgram?.[Symbol.dispose]();
    },
  };
}

/** Returns the effects that replace every cached row i by row `parents[i]`; `parents` is an input, u32 [rows]. */
function reorderGraph(model: LanguageModel, rows: number): Tensor[] {
  const parents = input("parents", [rows], "u32");
  return cachedGraph(model, rows, 1).states.map((state) => {
    const flat = reshape(state, [rows, sizeOf(state) / rows]);
    return assign(state, embedding(flat, parents));
  });
}
