// How well a model predicts a text: the cross-entropy of every token, each counted once, long texts through a sliding window.
import { crossEntropy, IGNORE } from "../../kernels/cross_entropy/op.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../errors.ts";
import { input, reshape } from "../graph/structure.ts";
import { decoder } from "../nn/decoder.ts";
import type { Generator } from "./next_logits.ts";
import { padded, passLength } from "./passes.ts";

/** How texts are read. */
export interface LossOptions {
  /** Tokens by which the window moves over a text longer than the context; half the context where it is left out. */
  readonly stride?: number;
  /** Windows in one pass; 8 unless told, fewer where their logits would take more than 128 MiB. */
  readonly rows?: number;
}

const MOST_LOGITS = 2 ** 25;

/** A piece of a text: ids `begin` to `end` are read, the targets behind them count from `first` on. */
interface Window {
  readonly text: number;
  readonly begin: number;
  readonly end: number;
  readonly first: number;
}

/**
 * Windows over n ids: the first holds as much as fits, each next one moves by `stride` (the last by what is left), and
 * counts only the targets that none before it has.
 */
function windowsOf(text: number, n: number, context: number, stride: number): Window[] {
  const windows: Window[] = [];
  const last = n - 1;
  for (let counted = 0; counted < last;) {
    const end = Math.min(last, counted === 0 ? context : counted + stride);
    windows.push({ text, begin: Math.max(0, end - context), end, first: counted + 1 });
    counted = end;
  }
  return windows;
}

/**
 * Cross-entropy of each token of some texts, in nats: -ln p(id_n | those before it), n from 1. Token n sees all ids before it,
 * or in a text longer than the context T at least T - stride of them. Padding counts for nothing, so that a text has the
 * same losses in any company.
 *
 * @param texts ids of each
 * @returns for each text one number fewer than its ids; the first token is not predicted
 * @throws {UserError} where the stride is not from 1 to the context
 *
 * @example
 * ```ts
 * import { openModel, tokenLosses } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const ids = opened.model.tokenizer.encode("The number 1 follows 0");
 * const [nats] = await tokenLosses(opened.device, opened.model, [ids]);
 * console.log(nats.length); // 21
 * ```
 */
export async function tokenLosses(
  device: Device,
  { architecture, parameters }: Generator,
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
  const windows = texts.flatMap((ids, text) => windowsOf(text, ids.length, context, stride));
  const losses = texts.map((ids) => new Float64Array(Math.max(0, ids.length - 1)));
  if (windows.length === 0) return losses;
  const longest = windows.reduce((most, { begin, end }) => Math.max(most, end - begin), 0);
  const length = passLength(architecture, longest);
  const fitting = Math.max(1, Math.floor(MOST_LOGITS / (length * vocabulary)));
  const rows = Math.min(options.rows ?? Math.min(8, fitting), windows.length);
  const logits = decoder(architecture, parameters, input("ids", [rows, length], "u32"));
  const found = crossEntropy(
    reshape(logits, [rows * length, vocabulary]),
    input("targets", [rows * length], "u32"),
  );
  using program = await device.compile({ outputs: { losses: found.losses } });
  for (let at = 0; at < windows.length; at += rows) {
    const batch = windows.slice(at, at + rows);
    const read = batch.map(({ text, begin, end }) => Uint32Array.from(texts[text]).subarray(begin, end));
    const targets = new Uint32Array(rows * length).fill(IGNORE);
    batch.forEach(({ text, begin, end, first }, row) => {
      for (let n = first; n <= end; n++) targets[row * length + n - 1 - begin] = texts[text][n];
    });
    program.run({ ids: padded(read, length, rows), targets });
    const [values] = await program.read(["losses"]);
    batch.forEach(({ text, begin, end, first }, row) => {
      for (let n = first; n <= end; n++) losses[text][n - 1] = values[row * length + n - 1 - begin];
    });
  }
  return losses;
}

/** How well a model predicts something. */
export interface Perplexity {
  /** Tokens that were predicted. */
  readonly tokens: number;
  /** Mean cross-entropy in nats a token. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
}

/**
 * Mean cross-entropy and perplexity over all tokens of some texts: every token counts once, whatever text it is in.
 *
 * @param losses of each text, as `tokenLosses` gives them
 *
 * @example
 * ```ts
 * import { perplexityOf } from "../../mod.ts";
 * perplexityOf([[Math.log(2), Math.log(8)], [Math.log(4)]]).perplexity; // 4
 * ```
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
