// Perplexity from the cross-entropy of every token of a text. Long texts are read in a sliding window; each token counts once.
import { crossEntropy, IGNORE } from "../../kernels/cross_entropy/op.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { input, reshape } from "../graph/structure.ts";
import { decoder } from "../nn/decoder.ts";
import { checkLosses } from "../model/finite.ts";
import { reportProgress } from "../base/progress.ts";
import type { LanguageModel } from "../model/model.ts";
import { padded, passLength, positionsFitting } from "../model/passes.ts";

/** Options of `tokenLosses`. */
export interface LossOptions {
  /** Stride of the window over a text longer than the context, in tokens. Default: half the context. */
  readonly stride?: number;
  /** Maximum number of windows per forward pass; fewer are used if their logits do not fit on the device. Default: 8. */
  readonly rows?: number;
}

/** Maximum size of the logits of a forward pass in bytes, even if the device has room for more. */
const MOST_LOGITS_BYTES = 2 ** 27;

/** A window of the text with index `text`: the pass over it reads ids `begin` to `end - 1` and predicts ids `first` to `last`. */
type Window = Readonly<Record<"text" | "begin" | "end" | "first" | "last", number>>;

/**
 * Returns the windows over a text of n ids. The first window has the full context. Each later window is `stride` ids further on
 * (the last window, only by the ids that remain) and predicts only ids that no earlier window predicts. A window that would
 * predict more than `maxTargets` ids is returned several times, each time with another part of these ids.
 */
function windowsOf(
  text: number,
  n: number,
  { context, stride, maxTargets }: { context: number; stride: number; maxTargets: number },
): Window[] {
  const windows: Window[] = [];
  for (let counted = 0; counted < n - 1;) {
    const end = Math.min(n - 1, counted === 0 ? context : counted + stride);
    const begin = Math.max(0, end - context);
    for (let first = counted + 1; first <= end; first += maxTargets) {
      windows.push({ text, begin, end, first, last: Math.min(end, first + maxTargets - 1) });
    }
    counted = end;
  }
  return windows;
}

/**
 * Returns the targets of a pass whose rows have `length` positions, of which `counted` have logits. A target has the index
 * `text` of its text, the index `n` of its id in that text, its index `place` among the losses of the pass, and the index
 * `position` (over all rows) of the position before it, which predicts it.
 */
function targetsOf(batch: readonly Window[], length: number, counted: number) {
  return batch.flatMap(({ text, begin, first, last }, row) =>
    Array.from({ length: last - first + 1 }, (_, m) => {
      const n = first + m;
      const position = n - 1 - begin;
      const place = row * counted + (counted < length ? m : position);
      return { text, n, place, position: row * length + position };
    })
  );
}

/**
 * Computes the cross-entropy of each token of several texts, in nats: -ln p(id_n | earlier ids), for n from 1. Token n is
 * predicted from all earlier ids; in a text longer than the context T, from at least T - stride of them (or from all, if there
 * are fewer). The losses of a text do not depend on the other texts.
 *
 * @param texts the ids of each text
 * @returns for each text, the losses of all tokens but the first, which is not predicted
 * @throws {UserError} if the stride is not from 1 to the context
 *
 * @example
 * ```ts
 * import { openModel, tokenLosses } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const ids = opened.model.tokenizer.encode("The number 1 follows 0");
 * const [nats] = await tokenLosses(opened.device, opened.model, [ids]);
 * console.log(nats.length); // 21
 * ```
 * @category Questions
 */
export async function tokenLosses(
  device: Device,
  { architecture, parameters }: LanguageModel,
  texts: readonly ArrayLike<number>[],
  options: LossOptions = {},
): Promise<Float64Array[]> {
  const { context, vocabulary } = architecture;
  const { stride = Math.max(1, Math.floor(context / 2)) } = options;
  if (!Number.isSafeInteger(stride) || stride < 1 || stride > context) {
    throw new UserError(
      `stride: expected a whole number from 1 to the context of ${context}, found ${stride}.`,
    );
  }
  const fitting = positionsFitting(device, vocabulary, MOST_LOGITS_BYTES);
  const longest = Math.min(context, texts.reduce((longest, { length: n }) => Math.max(longest, n - 1), 0));
  const length = passLength(architecture, longest);
  // Hooks may use all logits, so if there are hooks, logits are computed at all positions.
  const counted = architecture.hooks ? length : Math.min(length, fitting);
  const windows = texts.flatMap((ids, text) =>
    windowsOf(text, ids.length, { context, stride, maxTargets: counted })
  );
  const losses = texts.map((ids) => new Float64Array(Math.max(0, ids.length - 1)));
  if (windows.length === 0) return losses;
  const maxRows = Math.max(1, Math.floor(fitting / counted));
  const rows = Math.min(options.rows ?? 8, maxRows, windows.length);
  const ids = input("ids", [rows, length], "u32");
  const logitRows = counted < length ? input("logitRows", [rows * counted], "u32") : undefined;
  const logits = decoder(architecture, parameters, ids, { logitRows });
  const lossTensors = crossEntropy(
    reshape(logits, [rows * counted, vocabulary]),
    input("targets", [rows * counted], "u32"),
  );
  using program = await device.compile({ outputs: { losses: lossTensors.losses } });
  for (let at = 0; at < windows.length; at += rows) {
    reportProgress({ what: "evaluating", done: at, total: windows.length });
    const batch = windows.slice(at, at + rows);
    const read = batch.map(({ text, begin, end }) =>
      Uint32Array.from({ length: end - begin }, (_, n) => texts[text][begin + n])
    );
    const chosen = targetsOf(batch, length, counted);
    const targets = new Uint32Array(rows * counted).fill(IGNORE);
    const positions = new Uint32Array(rows * counted);
    for (const { text, n, place, position } of chosen) {
      [targets[place], positions[place]] = [texts[text][n], position];
    }
    program.run({ ids: padded(read, length, rows), targets, logitRows: positions });
    const [values] = await program.read(["losses"]);
    for (const { text, n, place } of chosen) losses[text][n - 1] = values[place];
  }
  losses.forEach(checkLosses);
  return losses;
}

/** Mean loss and perplexity.
 * @category Questions */
export interface Perplexity {
  /** Number of predicted tokens. */
  readonly tokens: number;
  /** Mean cross-entropy in nats per token. */
  readonly loss: number;
  /** exp(loss). */
  readonly perplexity: number;
}

/**
 * Returns the mean cross-entropy and the perplexity over all tokens of several texts, with each token weighted equally.
 *
 * @param losses the losses of each text, as returned by `tokenLosses`
 *
 * @example
 * ```ts
 * import { perplexityOf } from "../../mod.ts";
 * perplexityOf([[Math.log(2), Math.log(8)], [Math.log(4)]]).perplexity; // 4
 * ```
 * @category Questions
 */
export function perplexityOf(losses: readonly ArrayLike<number>[]): Perplexity {
  let [tokens, sum] = [0, 0];
  for (const text of losses) {
    for (let n = 0; n < text.length; n++) sum += text[n];
    tokens += text.length;
  }
  const loss = sum / tokens;
  return { tokens, loss, perplexity: Math.exp(loss) };
}

/** A token and its cross-entropy. */
export interface TokenLoss {
  /** Index of the token's text. */
  readonly text: number;
  /** Index of the token among the text's ids, from 0. */
  readonly position: number;
  /** Its cross-entropy -ln p, in nats. */
  readonly nats: number;
}

/**
 * Returns the tokens with the highest and the lowest cross-entropy; if several tokens are tied, it returns the first of them.
 * Returns undefined if there are no tokens.
 *
 * @param losses the losses of each text, as returned by `tokenLosses`
 *
 * @example
 * ```ts
 * import { extremeLosses } from "../../mod.ts";
 * extremeLosses([[1, 3], [2]])?.max; // { text: 0, position: 2, nats: 3 }
 * ```
 * @category Questions
 */
export function extremeLosses(
  losses: readonly ArrayLike<number>[],
): { max: TokenLoss; min: TokenLoss } | undefined {
  let [max, min]: (TokenLoss | undefined)[] = [];
  losses.forEach((textLosses, text) => {
    for (let n = 0; n < textLosses.length; n++) {
      const token = { text, position: n + 1, nats: textLosses[n] };
      if (!max || token.nats > max.nats) max = token;
      if (!min || token.nats < min.nats) min = token;
    }
  });
  return max && min && { max, min };
}
