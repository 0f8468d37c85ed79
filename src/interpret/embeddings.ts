// The residual stream at each position, before the first block and after each block.
import { maximum } from "../base/extremes.ts";
import type { Device } from "../device/device.ts";
import { describeValue } from "../base/show.ts";
import { atPlace, UserError } from "../base/errors.ts";
import { input } from "../graph/structure.ts";
import { decoder } from "../nn/decoder.ts";
import { checkFinite } from "../model/finite.ts";
import { reportProgress } from "../base/progress.ts";
import type { LanguageModel } from "../model/model.ts";
import { padded, passLength, textIds, type TextOrIds } from "../model/passes.ts";
import { activationCache } from "../model/taps.ts";

const ROWS = 8;

/** The residual stream of several texts. */
export interface Embeddings {
  /** [samples, layers + 1, positions, dim]: layer 0 is the input of the first block, layer n the output of block n - 1. */
  readonly shape: readonly [number, number, number, number];
  /** Row-major; shorter texts are padded with zeros. */
  readonly values: Float32Array;
  /** Token ids of each text. */
  readonly ids: readonly Uint32Array[];
}

/** Returns the ids of a text. If a UserError is thrown, its message begins with the index n and the beginning of the text. */
function sampleIds(model: LanguageModel, text: TextOrIds, n: number): Uint32Array {
  const shown = describeValue(typeof text === "string" ? text : Array.from(text));
  return atPlace(`Sample ${n}, ${shown}`, () => textIds(model, text));
}

/**
 * Returns the residual stream of texts or ids before the first block and after each block, without the final norm.
 *
 * @throws {UserError} if there are no texts, or a text is empty or longer than the model's context
 *
 * @example
 * ```ts
 * import { embeddings, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const { shape } = await embeddings(opened.device, opened.model, ["The number", "The"]);
 * console.log(shape); // [2, layers + 1, 10, dim]
 * ```
 * @category Questions
 */
export async function embeddings(
  device: Device,
  model: LanguageModel,
  texts: readonly TextOrIds[],
): Promise<Embeddings> {
  const { architecture, parameters } = model;
  const { layers, dim } = architecture;
  if (texts.length === 0) throw new UserError("Embeddings need a text, found none.");
  const ids = texts.map((text, n) => sampleIds(model, text, n));
  const positions = maximum(ids.map(({ length }) => length));
  const length = passLength(architecture, positions);
  const names = ["blocks.0.resid_pre", ...Array.from({ length: layers }, (_, n) => `blocks.${n}.resid_post`)];
  const taps = activationCache((name) => names.includes(name));
  decoder(architecture, parameters, input("ids", [ROWS, length], "u32"), { taps });
  using program = await device.compile({ outputs: taps.selected() });
  const values = new Float32Array(texts.length * (layers + 1) * positions * dim);
  for (let first = 0; first < texts.length; first += ROWS) {
    reportProgress({ what: "reading texts with the model", done: first, total: texts.length });
    const rows = ids.slice(first, first + ROWS);
    program.run({ ids: padded(rows, length, ROWS) });
    (await program.read(names)).forEach((stream, layer) => {
      rows.forEach((row, n) => {
        const vectors = stream.subarray(n * length * dim, (n * length + row.length) * dim);
        checkFinite(vectors, `The residual stream at ${names[layer]}, sample ${first + n},`);
        values.set(vectors, ((first + n) * (layers + 1) + layer) * positions * dim);
      });
    });
  }
  return { shape: [texts.length, layers + 1, positions, dim], values, ids };
}
