// The logits after a few texts that grow: with keys and values of what was read kept on the device, or, where that cannot
// be, by reading the last `context` tokens anew.
import type { LanguageModel } from "../model/model.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import type { Tokenizer } from "../data/mod.ts";
import type { Device, Program } from "../device/device.ts";
import type { Workload } from "../device/estimate.ts";
import { assign, input, reshape } from "../graph/structure.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { keyCache } from "../nn/cache.ts";
import { decoder } from "../nn/decoder.ts";
import { hearing } from "../base/hear.ts";
import { checkLogits } from "../model/finite.ts";

/** Texts that grow, and what follows them. */
export interface NextLogits extends Disposable {
  /** Between text and ids; the model may have more ids than this. */
  readonly tokenizer: Tokenizer;
  /**
   * The logits after the last id of each text, over the whole vocabulary of the model: a softmax runs over all of them, also
   * where some ids have no token. From one call to the next a text stays or grows at its end.
   *
   * @param texts as many as there are rows, each with one id at least
   * @throws {UserError} where the logits are not finite
   */
  next(texts: readonly (readonly number[])[]): Promise<ArrayLike<number>[]>;
  /** Text i goes on from what text `parents[i]` has been. */
  reorder(parents: readonly number[]): Promise<void>;
  /** Why the last pass read texts as a whole; undefined where it read new tokens alone. */
  readonly whole: string | undefined;
}

/** Programs by their length, compiled when they are first asked for. */
function programs(compile: (length: number) => Promise<Program>) {
  const made = new Map<number, Program>();
  return {
    async of(length: number): Promise<Program> {
      const program = made.get(length) ?? await compile(length);
      made.set(length, program);
      return program;
    },
    close: () => made.forEach((program) => program[Symbol.dispose]()),
  };
}

/** The pass over `count` new positions of each row, and the states that it goes on from. */
function cachedGraph({ architecture, parameters }: LanguageModel, rows: number, count: number) {
  const cache = keyCache(rows, count, architecture.context);
  const ids = input("ids", [rows, count], "u32");
  const logits = decoder(architecture, parameters, ids, { cache, wanted: input("wanted", [rows], "u32") });
  return { logits, states: cache.states };
}

/** The pass over whole texts. A hook may look at all logits: they are chosen from behind it. */
function wholeGraph({ architecture, parameters }: LanguageModel, rows: number): Tensor {
  const { context, vocabulary, hooks } = architecture;
  const ids = input("ids", [rows, context], "u32");
  const wanted = input("wanted", [rows], "u32");
  if (!hooks) return decoder(architecture, parameters, ids, { wanted });
  const all = decoder(architecture, parameters, ids);
  return embedding(reshape(all, [rows * context, vocabulary]), wanted);
}

const passPositions = (context: number, most: number): number =>
  Math.min(context, 2 ** Math.ceil(Math.log2(most)));

/** The passes by which `rows` texts of `length` tokens are continued by `tokens`: what a device has to hold, and to compute. */
export function generationWork(
  model: LanguageModel,
  rows: number,
  length: number,
  tokens: number,
): Workload[] {
  const { context, hooks } = model.architecture;
  // The last pass reads all but the last token.
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

/** What a pass over new positions is fed: of each row the ids from `starts` on, right-padded. */
function feedsOf(texts: readonly (readonly number[])[], starts: readonly number[], count: number) {
  const ids = new Uint32Array(texts.length * count);
  const positions = new Uint32Array(ids.length);
  texts.forEach((text, row) => {
    ids.set(text.slice(starts[row]), row * count);
    for (let t = 0; t < count; t++) positions[row * count + t] = starts[row] + t;
  });
  const wanted = Uint32Array.from(texts, (text, row) => row * count + text.length - starts[row] - 1);
  return { ids, positions, wanted };
}

/**
 * Makes a model ready to say what follows `rows` texts. The device keeps each block's keys and values; a call computes the
 * tokens that are new to it. A text longer than the model's context is read anew each time, its last `context` tokens, and
 * so is every text of a model with hooks, which may look from one position at another.
 *
 * @param options `cache`: false reads every text anew
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
  const whole = programs(() => device.compile({ outputs: { logits: wholeGraph(model, rows) } }));
  const held = new Array<number>(rows).fill(0);
  let followed: Program | undefined;
  let reason: string | undefined;
  const heard = hearing();
  const reasonFor = (longest: number): string | undefined => {
    if (!cache) return "the cache is off";
    if (hooks) return "hooks may look from one position at another";
    return longest > context ? `the context of ${context} positions is full` : undefined;
  };
  const runCached = async (texts: readonly (readonly number[])[]): Promise<Program> => {
    // A text that has not grown has its last token read again.
    const starts = texts.map((text, row) => Math.min(held[row], text.length - 1));
    const most = texts.reduce((most, text, row) => Math.max(most, text.length - starts[row]), 0);
    const count = passPositions(context, most);
    const program = await cached.of(count);
    program.run({ ...feedsOf(texts, starts, count), start: Float32Array.from(starts) });
    texts.forEach((text, row) => held[row] = text.length);
    return program;
  };
  const runWhole = async (texts: readonly (readonly number[])[]): Promise<Program> => {
    const seen = texts.map((text) => text.slice(-context));
    const { ids, wanted } = feedsOf(seen, seen.map(() => 0), context);
    const program = await whole.of(context);
    program.run({ ids, wanted });
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
      await heard();
      const rows = texts.map((_, row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));
      rows.forEach(checkLogits);
      return rows;
    },
    async reorder(parents) {
      if (reason !== undefined || parents.every((parent, row) => parent === row)) return;
      followed ??= await device.compile({ effects: followGraph(model, rows) });
      followed.run({ parents: Uint32Array.from(parents) });
      const before = held.slice();
      parents.forEach((parent, row) => held[row] = before[parent]);
    },
    [Symbol.dispose]() {
      cached.close();
      whole.close();
      followed?.[Symbol.dispose]();
    },
  };
}

/** Every cached row replaced by that of its parent: input `parents`, u32 [rows]. */
function followGraph(model: LanguageModel, rows: number): Tensor[] {
  const parents = input("parents", [rows], "u32");
  return cachedGraph(model, rows, 1).states.map((held) => {
    const flat = reshape(held, [rows, sizeOf(held) / rows]);
    return assign(held, embedding(flat, parents));
  });
}
