// Attention of a text as matrices: which positions each position looks at, by layer and head. The device gives queries and
// keys; the rows are made on the host.
import { contextOfCall, forRows, rowValues, seenRow, weights } from "../../kernels/attention/rows.ts";
import type { AttentionAttrs } from "../../kernels/attention/sizes.ts";
import type { Device } from "../device/device.ts";
import type { Floats, Tensor } from "../graph/tensor.ts";
import { checkFinite } from "../model/finite.ts";
import type { LanguageModel } from "../model/model.ts";
import { passOver, textIds, type TextOrIds, tokenTexts } from "../model/passes.ts";

/** The attention of one head over one text.
 * @category Questions */
export interface AttentionMap {
  /** Block, from 0. */
  readonly layer: number;
  /** Head, from 0. */
  readonly head: number;
  /**
   * A row for each query with the weight of each key, NaN where the query cannot see the key; the learned keys of a model that
   * has them stand behind those of the text.
   */
  readonly weights: readonly Float64Array[];
}

/** A text and every head's attention over it.
 * @category Questions */
export interface AttentionMaps {
  /** The text of each token: labels of the queries. */
  readonly tokens: readonly string[];
  /** Labels of the keys: the tokens, then `extra0`, ... for learned keys. */
  readonly keys: readonly string[];
  /** By layer, then by head. */
  readonly maps: readonly AttentionMap[];
}

/** Which heads. */
export interface HeadChoice {
  /** Blocks; all where it is left out. */
  readonly layers?: readonly number[];
  /** Heads; all where it is left out. */
  readonly heads?: readonly number[];
}

/**
 * The attention weights of a text: a_ij of every layer and head asked for, computed in float64 from the queries and keys
 * that the model has on the device. A key that the mask hides has no weight, which is NaN and not 0.
 *
 * @throws {UserError} where the text is empty or longer than the model's context
 *
 * @example
 * ```ts
 * import { attentionMaps, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const { tokens, maps } = await attentionMaps(opened.device, opened.model, "The number", { heads: [1] });
 * console.log(tokens.length, maps[0].weights[9]); // of the last of ten tokens: ten weights that sum to 1
 * ```
 * @category Questions
 */
export async function attentionMaps(
  device: Device,
  model: LanguageModel,
  text: TextOrIds,
  { layers, heads }: HeadChoice = {},
): Promise<AttentionMaps> {
  const ids = textIds(model, text);
  const nodes = new Map<number, Tensor["node"]>();
  const read = await passOver(device, model, ids, (_, { attentions }) => {
    const outputs: Record<string, Tensor> = {};
    for (let layer = 0; layer < model.architecture.layers; layer++) {
      if (layers && !layers.includes(layer)) continue;
      const { node } = attentions.get(`blocks.${layer}.attn`)!;
      nodes.set(layer, node);
      node.inputs.forEach((x, n) => outputs[`${layer} ${n}`] = x);
    }
    return outputs;
  });
  const length = ids.length;
  let extra = 0;
  const maps = [...nodes].flatMap(([layer, node]) => {
    const values = node.inputs.map((_, n) => read[`${layer} ${n}`]);
    const work = contextOfCall(values, { inputs: node.inputs, attrs: node.attrs as AttentionAttrs });
    const { T, S, H } = work.sizes;
    extra = Math.max(extra, S - T);
    const chosen = Array.from({ length: H }, (_, head) => head).filter((head) =>
      heads?.includes(head) ?? true
    );
    const found = chosen.map((head) => ({ layer, head, weights: [] as Float64Array[] }));
    const numbers = rowValues(work);
    forRows(work, (shown) => {
      const map = found[chosen.indexOf(shown.head)];
      if (!map || shown.i >= length) return;
      weights(work, shown, values[0] as Floats, values[1] as Floats, numbers);
      const { head, keys } = seenRow(shown, numbers);
      const a = numbers.a.subarray(0, keys.length);
      checkFinite(a, `The attention weights of layer ${layer}, head ${head}`);
      const row = new Float64Array(length + S - T).fill(NaN);
      // No position looks at one behind it, so that padding is never among the keys.
      keys.forEach((j, n) => row[j < T ? j : length + j - T] = a[n]);
      map.weights.push(row);
    });
    return found;
  });
  const tokens = tokenTexts(model, ids);
  return { tokens, keys: [...tokens, ...Array.from({ length: extra }, (_, n) => `extra${n}`)], maps };
}
