// Attention maps of a text: the weights by layer and head. The device computes queries and keys; the host computes the weights.
import { contextOfCall, forRows, rowValues, seenRow, weights } from "../../kernels/attention/rows.ts";
import type { AttentionAttrs } from "../../kernels/attention/sizes.ts";
import type { Device } from "../device/device.ts";
import type { Floats, Tensor } from "../graph/tensor.ts";
import { checkFinite } from "../model/finite.ts";
import type { LanguageModel } from "../model/model.ts";
import { passOver, textIds, type TextOrIds, tokenTexts } from "../model/passes.ts";

/** The attention weights of one head on one text.
 * @category Questions */
export interface AttentionMap {
  /** Index of the block, from 0. */
  readonly layer: number;
  /** Index of the head, from 0. */
  readonly head: number;
  /**
   * One row per query with the weight of each key. The weight is NaN if the mask hides the key from the query. Learned keys
   * (`extra_keys`), if the model has any, come after the keys of the text.
   */
  readonly weights: readonly Float64Array[];
}

/** The attention maps of a text.
 * @category Questions */
export interface AttentionMaps {
  /** The text of each token; labels for the queries. */
  readonly tokens: readonly string[];
  /** Labels for the keys: the text of each token, then `extra0`, `extra1`, ... for learned keys. */
  readonly keys: readonly string[];
  /** The map of each selected head, ordered by layer, then by head. */
  readonly maps: readonly AttentionMap[];
}

/** Selection of heads. */
export interface HeadChoice {
  /** Indices of blocks, from 0. Default: all. */
  readonly layers?: readonly number[];
  /** Indices of heads, from 0. Default: all. */
  readonly heads?: readonly number[];
}

/**
 * Returns the attention weights a_ij of a text for the selected layers and heads, computed in float64 from the device's queries
 * and keys. The weight of a masked key is NaN, not 0.
 *
 * @throws {UserError} if the text is empty or longer than the model's context
 *
 * @example
 * ```ts
 * import { attentionMaps, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const { tokens, maps } = await attentionMaps(opened.device, opened.model, "The number", { heads: [1] });
 * console.log(tokens.length, maps[0].weights[9]); // the last of ten tokens: ten weights that sum to 1
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
    const layerMaps = chosen.map((head) => ({ layer, head, weights: [] as Float64Array[] }));
    const numbers = rowValues(work);
    forRows(work, (shown) => {
      const map = layerMaps[chosen.indexOf(shown.head)];
      if (!map || shown.i >= length) return;
      weights(work, shown, values[0] as Floats, values[1] as Floats, numbers);
      const { head, keys } = seenRow(shown, numbers);
      const a = numbers.a.subarray(0, keys.length);
      checkFinite(a, `The attention weights of layer ${layer}, head ${head}`);
      const row = new Float64Array(length + S - T).fill(NaN);
      // No position attends to a later one, so padding is never among the keys.
      keys.forEach((j, n) => row[j < T ? j : length + j - T] = a[n]);
      map.weights.push(row);
    });
    return layerMaps;
  });
  const tokens = tokenTexts(model, ids);
  return { tokens, keys: [...tokens, ...Array.from({ length: extra }, (_, n) => `extra${n}`)], maps };
}
