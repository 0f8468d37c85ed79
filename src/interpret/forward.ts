// The forward pass as a function from texts or ids to logits and to any intermediate tensor, selected by its tap.
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

/** Options of a forward pass. */
export interface ForwardPassOptions {
  /**
   * For each id of each row, whether it is a token (true or 1) or padding (false or 0); padding may be on either side. Padding
   * is removed before the pass, so positions count only tokens. Default: all ids are tokens.
   */
  readonly mask?: readonly ArrayLike<number | boolean>[];
  /**
   * Globs over tap names, for example `["blocks.*.resid_post", "final_norm"]`; the tensors whose taps match are returned.
   * Default: none.
   */
  readonly taps?: readonly string[];
}

/** A tensor read from the device. */
export interface Tapped {
  /** Its shape; the first dimension is the batch. */
  readonly shape: readonly number[];
  /** The values, row-major. */
  readonly values: Values;
}

/** Result of a forward pass. T is the length of the longest row. */
export interface ForwardPass {
  /** The ids of each row, without padding. */
  readonly ids: readonly Uint32Array[];
  /** The logits, [B, T, V]; the values at positions after a row's last token have no meaning. */
  readonly logits: Tapped;
  /** The requested tensors, [B, T, ...], keyed by tap; the values at positions after a row's last token have no meaning. */
  readonly taps: Readonly<Record<string, Tapped>>;
}

function tokensOf(
  model: LanguageModel,
  input: TextOrIds,
  mask: ArrayLike<number | boolean> | undefined,
  row: number,
): Uint32Array {
  if (typeof input === "string") {
    if (mask) throw new UserError("mask: a text has no padding; give ids with a mask, or texts without.");
    return textIds(model, input);
  }
  const { context, vocabulary } = model.architecture;
  if (mask && mask.length !== input.length) {
    throw new UserError(
      `mask: row ${row} has ${mask.length} entries, expected one for each of ${input.length} ids.`,
    );
  }
  const places = Array.from(input, (_, n) => n).filter((n) => !mask || Boolean(mask[n]));
  if (places.length === 0 || places.length > context) {
    const count = places.length === 0 ? "no tokens" : `${places.length} tokens`;
    throw new UserError(`Row ${row} has ${count}, expected 1 to the model's context of ${context}.`);
  }
  const wrong = places.find((n) => !(Number.isInteger(input[n]) && input[n] >= 0 && input[n] < vocabulary));
  if (wrong !== undefined) {
    throw new UserError(`Row ${row}, id ${wrong}: found ${input[wrong]}, expected 0 to ${vocabulary - 1}.`);
  }
  return Uint32Array.from(places, (n) => input[n]);
}

function checkTaps(globs: readonly string[], names: readonly string[]): void {
  const idle = globs.find((glob) => !names.some(globOf(glob)));
  if (idle === undefined) return;
  throw new UserError(
    `taps: ${JSON.stringify(idle)} names no tensor of the model. ${patternHint(idle, names)}`,
  );
}

/**
 * Runs one forward pass over a batch, without dropout: logits_bt = decoder(ids_b1 .. ids_bt). Rows may differ in length; the
 * results of a row do not depend on the other rows.
 *
 * @param inputs a text, its ids, or several of either; ids with `mask` may be padded on either side
 * @returns the logits, and every tensor whose tap a glob matches; the logits take B T V values of host memory
 * @throws {UserError} if a row is empty or longer than the context, an id is outside the vocabulary, the length of a mask
 * differs from that of its ids, or a glob matches no tap
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
  inputs: TextOrIds | readonly TextOrIds[],
  { mask, taps: globs = [] }: ForwardPassOptions = {},
): Promise<ForwardPass> {
  const { architecture, parameters } = model;
  const single = typeof inputs === "string" || typeof inputs[0] === "number";
  const rows = single ? [inputs as TextOrIds] : Array.from(inputs as readonly TextOrIds[]);
  if (mask && mask.length !== rows.length) {
    throw new UserError(`mask: found ${mask.length} rows, expected ${rows.length}.`);
  }
  const ids = rows.map((row, n) => tokensOf(model, row, mask?.[n], n));
  if (ids.length === 0) throw new UserError("There are no texts or ids, expected at least one row.");
  const T = maximum(ids.map(({ length }) => length));
  const length = passLength(architecture, T);
  const matchers = globs.map(globOf);
  const cache = activationCache((name) => matchers.some((matches) => matches(name)));
  const logits = decoder(architecture, parameters, input("ids", [ids.length, length], "u32"), {
    taps: cache,
  });
  checkTaps(globs, [...cache.tensors.keys()]);
  const tapped = cache.selected();
  const outputs: Record<string, Tensor> = { ...tapped, logits };
  using program = await device.compile({ outputs });
  program.run({ ids: padded(ids, length) });
  const names = Object.keys(outputs);
  const values = await program.read(names);
  const read = names.map((name, n): [string, Tapped] => [name, cut(outputs[name], values[n], T)]);
  const { logits: last, ...kept } = Object.fromEntries(read);
  return { ids, logits: last, taps: tapped.logits ? { ...kept, logits: last } : kept };
}

/** Returns the first T positions of a tensor [B, length, ...]. */
function cut({ shape: [B, length, ...rest] }: Tensor, values: Values, T: number): Tapped {
  const width = rest.reduce((a, b) => a * b, 1);
  const shape = [B, T, ...rest];
  if (length === T) return { shape, values };
  const kept = values.slice(0, B * T * width);
  for (let b = 0; b < B; b++) {
    kept.set(values.subarray(b * length * width, (b * length + T) * width), b * T * width);
  }
  return { shape, values: kept };
}
