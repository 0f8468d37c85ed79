// A model as a function: texts or ids in, logits out, and any tensor on the way by the name of its tap.
import { maximum } from "../base/extremes.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { globOf, patternHint } from "../base/glob.ts";
import { input } from "../graph/structure.ts";
import type { Tensor, Values } from "../graph/tensor.ts";
import { decoder } from "../nn/decoder.ts";
import type { LanguageModel } from "../model/model.ts";
import { padded, passLength, textIds, type TextOrIds } from "../model/passes.ts";
import { activationCache } from "../model/taps.ts";

/** How a forward pass is made. */
export interface ForwardPassOptions {
  /**
   * For each row and each of its ids, whether it is a token (true or 1) or padding, on whichever side. Padding is left
   * out: nothing sees it, and positions count the tokens alone. Without a mask all ids are tokens.
   */
  readonly mask?: readonly ArrayLike<number | boolean>[];
  /** Globs over the taps whose tensors are kept: `["blocks.*.resid_post", "final_norm"]`. */
  readonly taps?: readonly string[];
}

/** Numbers and their shape, row-major. */
export interface Tapped {
  /** The batch first. */
  readonly shape: readonly number[];
  /** As many as the shape says. */
  readonly values: Values;
}

/** What a forward pass gives. T is the most tokens that a row has. */
export interface ForwardPass {
  /** The tokens of each row. */
  readonly ids: readonly Uint32Array[];
  /** [B, T, V]; a row's own tokens first, what stands behind them means nothing. */
  readonly logits: Tapped;
  /** The tensors asked for by tap, [B, T, ...]. */
  readonly taps: Readonly<Record<string, Tapped>>;
}

function tokensOf(
  model: LanguageModel,
  given: TextOrIds,
  mask: ArrayLike<number | boolean> | undefined,
  row: number,
): Uint32Array {
  if (typeof given === "string") {
    if (mask) throw new UserError("mask: a text has no padding; give ids with a mask, or texts without.");
    return textIds(model, given);
  }
  const { context, vocabulary } = model.architecture;
  if (mask && mask.length !== given.length) {
    throw new UserError(
      `mask: row ${row} has ${mask.length} entries, expected one for each of ${given.length} ids.`,
    );
  }
  const places = Array.from(given, (_, n) => n).filter((n) => !mask || Boolean(mask[n]));
  if (places.length === 0 || places.length > context) {
    const found = places.length === 0 ? "no tokens" : `${places.length} tokens`;
    throw new UserError(`Row ${row} has ${found}, expected 1 to the model's context of ${context}.`);
  }
  const wrong = places.find((n) => !(Number.isInteger(given[n]) && given[n] >= 0 && given[n] < vocabulary));
  if (wrong !== undefined) {
    throw new UserError(`Row ${row}, id ${wrong}: found ${given[wrong]}, expected 0 to ${vocabulary - 1}.`);
  }
  return Uint32Array.from(places, (n) => given[n]);
}

function checkTaps(globs: readonly string[], names: readonly string[]): void {
  const idle = globs.find((glob) => !names.some(globOf(glob)));
  if (idle === undefined) return;
  throw new UserError(
    `taps: ${JSON.stringify(idle)} names no tensor of the model. ${patternHint(idle, names)}`,
  );
}

/**
 * One forward pass over a batch, with nothing dropped: logits_bt = decoder(ids_b1 .. ids_bt). Rows may differ in length: a
 * row's numbers are the same in any company.
 *
 * @param given a text, its ids, or several of either; ids with `mask` may be padded on either side
 * @returns the logits, and every tensor whose tap was asked for; memory of the host grows with B T V
 * @throws {UserError} where a row is empty or longer than the context, an id is outside of the vocabulary, a mask has
 * another length than its ids, or a glob names no tap
 *
 * @example
 * ```ts
 * import { forward, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const { logits, taps } = await forward(opened.device, opened.model, ["The number", "The"], {
 *   taps: ["blocks.*.resid_post"],
 * });
 * console.log(logits.shape, taps["blocks.0.resid_post"].shape); // [2, 10, V], [2, 10, dim]
 * ```
 * @category Questions
 */
export async function forward(
  device: Device,
  model: LanguageModel,
  given: TextOrIds | readonly TextOrIds[],
  { mask, taps: globs = [] }: ForwardPassOptions = {},
): Promise<ForwardPass> {
  const { architecture, parameters } = model;
  const single = typeof given === "string" || typeof given[0] === "number";
  const rows = single ? [given as TextOrIds] : Array.from(given as readonly TextOrIds[]);
  if (mask && mask.length !== rows.length) {
    throw new UserError(`mask: found ${mask.length} rows, expected ${rows.length}.`);
  }
  const ids = rows.map((row, n) => tokensOf(model, row, mask?.[n], n));
  if (ids.length === 0) throw new UserError("There is no text and are no ids, expected one row at least.");
  const T = maximum(ids.map(({ length }) => length));
  const length = passLength(architecture, T);
  const wanted = globs.map(globOf);
  const cache = activationCache((name) => wanted.some((matches) => matches(name)));
  const logits = decoder(architecture, parameters, input("ids", [ids.length, length], "u32"), {
    taps: cache,
  });
  checkTaps(globs, [...cache.tensors.keys()]);
  const found = cache.selected();
  const outputs: Record<string, Tensor> = { ...found, logits };
  using program = await device.compile({ outputs });
  program.run({ ids: padded(ids, length) });
  const names = Object.keys(outputs);
  const values = await program.read(names);
  const read = names.map((name, n): [string, Tapped] => [name, cut(outputs[name], values[n], T)]);
  const { logits: last, ...kept } = Object.fromEntries(read);
  return { ids, logits: last, taps: found.logits ? { ...kept, logits: last } : kept };
}

/** The first T positions of a tensor [B, length, ...]. */
function cut({ shape: [B, length, ...rest] }: Tensor, values: Values, T: number): Tapped {
  const width = rest.reduce((a, b) => a * b, 1);
  const shape = [B, T, ...rest];
  if (length === T) return { shape, values };
  const own = values.slice(0, B * T * width);
  for (let b = 0; b < B; b++) {
    own.set(values.subarray(b * length * width, (b * length + T) * width), b * T * width);
  }
  return { shape, values: own };
}
