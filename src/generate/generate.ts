// Text generation: continues prompts token by token, by sampling or beam search, up to a length or a stop string.
import { maximum } from "../base/extremes.ts";
import { randomStream } from "../base/random.ts";
import { textBehind, type Tokenizer } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { thisMachine } from "../device/machine.ts";
import { showBytes } from "../base/units.ts";
import { atPlace, UserError } from "../base/errors.ts";
import { beamSearch } from "./beams.ts";
import { generationWork, nextLogits } from "./next_logits.ts";
import type { LanguageModel } from "../model/model.ts";
import { promptIds, type TextOrIds } from "../model/passes.ts";
import { reportProgress } from "../base/progress.ts";
import { logSoftmax, nextProbabilities, ofTokens, sample, type Sampling } from "./sampling.ts";
import { beforeStop, continuationOf, textStreams } from "./text_stream.ts";

/** Maximum number of prompts per batch. */
const ROWS = 16;

/** Options of text generation. */
export interface ContinueOptions extends Sampling {
  /** Number of tokens to add. */
  readonly tokens: number;
  /** Seed of the random numbers. */
  readonly seed: number;
  /** Stop strings: a text ends before the first stop string that it contains. */
  readonly stop?: readonly string[];
  /** Beam width (see `beamSearch`); temperature and filters are then ignored. Default: sampling. */
  readonly beams?: number | null;
  /** Exponent a of the beams' score (sum of ln p) / (number of added tokens)^a. Default: 1. */
  readonly lengthPenalty?: number;
  /** When aborted, texts end at the current token. */
  readonly signal?: AbortSignal;
  /** Whether to cache keys and values; false recomputes all tokens in every pass. Default: true. */
  readonly cache?: boolean;
  /**
   * Called with the next piece of a text as soon as no later token can change that piece. With beams, it is called once per
   * text, with the complete text.
   */
  readonly onPiece?: (piece: TextPiece) => void;
}

/** A piece of a text during generation. The pieces of a text, in order, concatenate to `Generated.text`.
 * @category Models */
export interface TextPiece {
  /** Index of the text's prompt, from 0. */
  readonly text: number;
  /** The next characters; the first piece begins with the prompt. */
  readonly piece: string;
  /** Whether it is the text's last piece. */
  readonly last: boolean;
}

/** Options of `generate`. */
export interface GenerateOptions extends ContinueOptions {
  /** The prompt: a text or token ids. */
  readonly prompt: TextOrIds;
}

/** A generated text. */
export interface Generated {
  /** The prompt; if it was given as ids, the text of these ids. */
  readonly prompt: string;
  /** The prompt and its continuation. */
  readonly text: string;
  /** The continuation, without the stop string. */
  readonly continuation: string;
  /** Ids of the added tokens, including those of the stop string. */
  readonly ids: readonly number[];
  /** Sum of ln p over `ids`; p is from the softmax over the model's full vocabulary, without temperature and filters. */
  readonly logProbability: number;
  /** Why it ended: all tokens were added, a stop string was generated, or `signal` was aborted. */
  readonly ended: "tokens" | "stop" | "signal";
  /** Why some tokens were generated without the cache of keys and values; undefined if all tokens used the cache. */
  readonly uncached: string | undefined;
}

/** Returns a function that tests whether the newest added token completes a stop string; it decodes only the last tokens. */
function stopTest(
  tokenizer: Tokenizer,
  stop: readonly string[],
): (start: readonly number[], added: readonly number[]) => boolean {
  const wrong = stop.find((text) => text === "");
  if (wrong !== undefined) throw new UserError("A stop string is empty, expected at least one character.");
  if (stop.length === 0) return () => false;
  // A token may be a single byte, so a stop string may need as many tokens as it has bytes.
  const longest = maximum(stop.map((text) => new TextEncoder().encode(text).length)) + 4;
  return (start, added) => {
    const end = textBehind(tokenizer, added.at(-longest - 1) ?? start.at(-1), added.slice(-longest));
    return stop.some((text) => end.includes(text));
  };
}

interface Writing {
  readonly prompt: string;
  readonly start: readonly number[];
  readonly ids: number[];
  readonly uniform: () => number;
  logProbability: number;
  stopped: boolean;
}

function finished(
  { prompt, start, ids: added, logProbability, stopped }: Omit<Writing, "uniform">,
  tokenizer: Tokenizer,
  { stop = [], tokens }: ContinueOptions,
  uncached: string | undefined,
): Generated {
  const before = tokenizer.decode(start);
  const continuation = beforeStop(continuationOf(tokenizer, before, start, added), stop);
  const ended = stopped ? "stop" : added.length < tokens ? "signal" : "tokens";
  return { prompt, text: before + continuation, continuation, ids: added, logProbability, ended, uncached };
}

const promptText = (prompt: TextOrIds, start: readonly number[], tokenizer: Tokenizer): string =>
  typeof prompt === "string" ? prompt : tokenizer.decode(start);

/** Samples continuations of up to `ROWS` prompts in one batch. */
async function drawTexts(
  device: Device,
  model: LanguageModel,
  prompts: readonly TextOrIds[],
  first: number,
  options: ContinueOptions,
): Promise<Generated[]> {
  const { tokenizer } = model;
  const stops = stopTest(tokenizer, options.stop ?? []);
  const writings = prompts.map((prompt, n): Writing => {
    const number = first + n;
    const random = randomStream(options.seed, number === 0 ? "sample" : `sample ${number}`);
    const start = [...promptIds(model, prompt)];
    const text = promptText(prompt, start, tokenizer);
    return { prompt: text, start, ids: [], uniform: random.uniform, logProbability: 0, stopped: false };
  });
  const { onPiece, stop = [] } = options;
  const begin = onPiece && textStreams(tokenizer, stop);
  const streams = writings.map(({ start }, n) =>
    begin?.(start, (piece, last) => onPiece!({ text: first + n, piece, last }))
  );
  using reader = await nextLogits(device, model, prompts.length, { cache: options.cache });
  let uncached: string | undefined;
  const end = (n: number) => {
    const text = finished(writings[n], tokenizer, options, uncached);
    streams[n]?.end(text.continuation);
    return text;
  };
  for (let n = 0; n < options.tokens && !options.signal?.aborted; n++) {
    if (writings.every(({ stopped }) => stopped)) break;
    reportProgress({ what: "sampling", done: n, total: options.tokens });
    const logits = await reader.next(writings.map(({ start, ids }) => [...start, ...ids]));
    uncached ??= reader.whole;
    writings.forEach((writing, row) => {
      if (writing.stopped) return;
      const id = sample(nextProbabilities(ofTokens(tokenizer, logits[row]), options), writing.uniform());
      writing.ids.push(id);
      writing.logProbability += logSoftmax(logits[row])[id];
      writing.stopped = stops(writing.start, writing.ids);
      streams[row]?.grown(writing.ids);
    });
  }
  return writings.map((_, n) => end(n));
}

/** Maximum number of tokens per text: the length of V8's longest contiguous array. */
export const MOST_TOKENS = 2 ** 27;

/** Throws UserError if the beams do not fit on the device, or if their token ids do not fit into JavaScript's heap. */
function checkBeams(device: Device, model: LanguageModel, beams: number, length: number, tokens: number) {
  const texts = 8 * beams * (length + tokens);
  const { heap } = thisMachine();
  atPlace(`beams: ${beams} is too much`, () => {
    if (texts > heap) {
      throw new UserError(`the texts need ${showBytes(texts)}, but the heap has ${showBytes(heap)}.`);
    }
    const work = generationWork(model, beams, length, tokens);
    device.check(work.map(({ graph }) => device.plan(graph)));
  });
}

async function searchTexts(
  device: Device,
  model: LanguageModel,
  prompts: readonly TextOrIds[],
  beams: number,
  options: ContinueOptions,
): Promise<Generated[]> {
  const { tokenizer } = model;
  const ends = stopTest(tokenizer, options.stop ?? []);
  const texts: Generated[] = [];
  for (const prompt of prompts) {
    const start = [...promptIds(model, prompt)];
    checkBeams(device, model, beams, start.length, options.tokens);
    using reader = await nextLogits(device, model, beams, { cache: options.cache });
    const { tokens, lengthPenalty, signal } = options;
    const search = { beams, tokens, lengthPenalty, signal };
    const [best] = await beamSearch(reader, start, { ...search, ends: (added) => ends(start, added) });
    const { logProbability, ended: stopped, added } = best;
    const promptString = promptText(prompt, start, tokenizer);
    const writing = { prompt: promptString, start, ids: [...added], logProbability, stopped };
    const text = finished(writing, tokenizer, options, reader.whole);
    options.onPiece?.({ text: texts.length, piece: text.text, last: true });
    texts.push(text);
  }
  return texts;
}

/**
 * Continues prompts by sampling or beam search. The model sees the last `context` tokens of a text. Keys and values are cached
 * on the device while the text fits into the context. A text does not depend on the other texts of its batch.
 *
 * @param prompts texts or ids, each continued independently
 * @throws {UserError} for an empty prompt or stop string, a character that the tokenizer does not know, more tokens than an
 * array can hold, and more beams than fit on the device
 *
 * @example
 * ```ts
 * import { generateTexts, languageModelOf, loadCheckpoint, openDevice } from "../../mod.ts";
 * import { putModel } from "../model/mod.ts";
 * const model = await loadCheckpoint("runs/latest");
 * using device = await openDevice("cpu");
 * putModel(device, model);
 * const options = { tokens: 8, temperature: 0.8, minP: 0.05, stop: ["."], seed: 1 };
 * const texts = await generateTexts(device, languageModelOf(model), ["The ", "number "], options);
 * console.log(texts.map(({ text, ended }) => [text, ended]));
 * ```
 * @category Models
 */
export async function generateTexts(
  device: Device,
  model: LanguageModel,
  prompts: readonly TextOrIds[],
  options: ContinueOptions,
): Promise<Generated[]> {
  const { beams, tokens } = options;
  if (tokens > MOST_TOKENS) {
    throw new UserError(`tokens: expected at most ${MOST_TOKENS}, found ${tokens}.`);
  }
  if (beams) return await searchTexts(device, model, prompts, beams, options);
  const texts: Generated[] = [];
  for (let first = 0; first < prompts.length; first += ROWS) {
    texts.push(...await drawTexts(device, model, prompts.slice(first, first + ROWS), first, options));
  }
  return texts;
}

/**
 * Continues a prompt (see `generateTexts`).
 *
 * @throws {UserError} for an empty prompt or a character that the tokenizer does not know
 *
 * @example
 * ```ts
 * import { generate, languageModelOf, loadCheckpoint, openDevice } from "../../mod.ts";
 * import { putModel } from "../model/mod.ts";
 * const model = await loadCheckpoint("runs/latest");
 * using device = await openDevice("cpu");
 * putModel(device, model);
 * const text = await generate(device, languageModelOf(model), { prompt: "The ", tokens: 100, temperature: 0.8, seed: 1 });
 * ```
 * @category Models
 */
export async function generate(
  device: Device,
  model: LanguageModel,
  options: GenerateOptions,
): Promise<string> {
  return (await generateTexts(device, model, [options.prompt], options))[0].text;
}
