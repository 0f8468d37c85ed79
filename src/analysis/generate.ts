// Text from a model: the distribution of the next token, filtered, drawn, appended.
import { randomStream } from "../../kernels/random/threefry.ts";
import type { Device } from "../device/device.ts";
import type { Tokenizer } from "../data/mod.ts";
import { UserError } from "../errors.ts";
import { input, reshape } from "../graph/structure.ts";
import { type Architecture, decoder, type Parameters } from "../nn/decoder.ts";

/** How long signals may go unheard where the device is this thread. */
const HEAR_EVERY_MS = 100;

/** How tokens are drawn. */
export interface Sampling {
  /** Logits are divided by it; 0 takes the most likely token. */
  readonly temperature: number;
  /** Only the k most likely tokens. */
  readonly topK?: number | null;
  /** Only the most likely tokens whose probabilities reach p together. */
  readonly nucleus?: number | null;
}

/**
 * Probabilities of the next token: softmax(logits / temperature) over the tokens that the filters leave, in float64.
 * At temperature 0 the most likely token (the lowest id of equals) has all of it. Of the k most likely tokens, whose
 * probabilities sum to 1, the nucleus is the fewest that reach p, one at least.
 *
 * @throws {RangeError} unless temperature is at least 0, k at least 1 and p from 0 to 1
 *
 * @example
 * ```ts
 * import { nextProbabilities } from "../../mod.ts";
 * nextProbabilities([0, Math.log(3), 0], { temperature: 1, topK: 2 }); // 0.25, 0.75, 0
 * ```
 */
export function nextProbabilities(
  logits: ArrayLike<number>,
  { temperature, topK, nucleus }: Sampling,
): Float64Array {
  const inRange = temperature >= 0 && (topK ?? 1) >= 1 && (nucleus ?? 1) >= 0 && (nucleus ?? 1) <= 1;
  if (!inRange) throw new RangeError(`Cannot draw with temperature ${temperature}, k ${topK}, p ${nucleus}.`);
  const order = Array.from(logits, (_, id) => id).sort((a, b) => logits[b] - logits[a] || a - b);
  const probabilities = new Float64Array(logits.length);
  if (temperature === 0) {
    probabilities[order[0]] = 1;
    return probabilities;
  }
  const kept = order.slice(0, topK ?? order.length);
  const weights = kept.map((id) => Math.exp((logits[id] - logits[order[0]]) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let reached = 0;
  let sum = 0;
  kept.forEach((id, i) => {
    if (i > 0 && reached >= (nucleus ?? Infinity)) return;
    reached += weights[i] / total;
    probabilities[id] = weights[i];
    sum += weights[i];
  });
  return probabilities.map((p) => p / sum);
}

/** Draws an index from probabilities with a uniform number in [0, 1). */
export function draw(probabilities: ArrayLike<number>, uniform: number): number {
  let sum = 0;
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (probabilities[id] === 0) continue;
    sum += probabilities[id];
    last = id;
    if (uniform < sum) return id;
  }
  return last;
}

/** What to generate. */
export interface GenerateOptions extends Sampling {
  /** What is continued. */
  readonly prompt: string;
  /** Number of tokens to add. */
  readonly tokens: number;
  /** Seed of the draws. */
  readonly seed: number;
  /** Aborted: the text ends where it is. */
  readonly signal?: AbortSignal;
}

/** A model as generation needs it. */
export interface Generator {
  /** Its shape. */
  readonly architecture: Architecture;
  /** Between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Parameters by name, on tensors whose states are on the device. */
  readonly parameters: Parameters;
}

/**
 * Continues a prompt, one token after another; the model sees the last `context` tokens.
 *
 * @returns the prompt and its continuation
 * @throws {UserError} for an empty prompt or a character that the tokenizer does not know
 *
 * @example
 * ```ts
 * import { generate, generatorOf, loadCheckpoint, openDevice, putModel } from "../../mod.ts";
 * const model = await loadCheckpoint("runs/latest");
 * using device = await openDevice("cpu");
 * putModel(device, model);
 * const text = await generate(device, generatorOf(model), { prompt: "The ", tokens: 100, temperature: 0.8, seed: 1 });
 * ```
 */
export async function generate(device: Device, model: Generator, options: GenerateOptions): Promise<string> {
  const { architecture: { context, vocabulary }, tokenizer } = model;
  const ids = [...tokenizer.encode(options.prompt)];
  if (ids.length === 0) {
    throw new UserError("The prompt is empty, expected at least one character.");
  }
  const rows = decoder(model.architecture, model.parameters, input("ids", [1, context], "u32"));
  using program = await device.compile({ outputs: { logits: reshape(rows, [context, vocabulary]) } });
  const random = randomStream(options.seed, "sample");
  const window = new Uint32Array(context);
  let heard = performance.now();
  for (let i = 0; i < options.tokens && !options.signal?.aborted; i++) {
    const seen = ids.slice(-context);
    // What stands behind the last token does not matter: no position looks ahead.
    window.fill(0);
    window.set(seen);
    program.run({ ids: window });
    const [logits] = await program.read(["logits"]);
    if (performance.now() - heard > HEAR_EVERY_MS) {
      await new Promise((resume) => setTimeout(resume, 0));
      heard = performance.now();
    }
    // A padded vocabulary has logits that stand for no token: they come last and are left out.
    const first = (seen.length - 1) * vocabulary;
    const last = logits.subarray(first, first + tokenizer.size);
    ids.push(draw(nextProbabilities(last, options), random.uniform()));
  }
  return tokenizer.decode(ids);
}
