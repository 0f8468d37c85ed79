// Reads the golden numbers of the attention family (README.md says how PyTorch made them) and makes graph inputs of them.
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { didYouMean, UserError } from "../../src/base/errors.ts";
import type { OpTensor } from "./golden.ts";

/** One case: q, k, v, the upstream dz, z, what is learned and what masks read, and as `dNAME` every gradient. */
export type AttentionGolden = Readonly<Record<string, OpTensor>>;

const LAYERS = ["multi-head layer", "decoder layer"];

let read: Record<string, AttentionGolden> | undefined;

function goldenFile(): Record<string, AttentionGolden> {
  read ??= JSON.parse(Deno.readTextFileSync(new URL("attention.json", import.meta.url)));
  return read!;
}

/** Names of the cases of single attention calls. */
export function attentionGoldenNames(): string[] {
  return Object.keys(goldenFile()).filter((name) => !["made_with", "shared", ...LAYERS].includes(name));
}

/**
 * One case of attention.json; the inputs that most cases share are filled in. Needs read permission for this folder.
 *
 * @throws {UserError} for an unknown name
 *
 * @example
 * ```ts
 * import { attentionGolden } from "./attention_golden.ts";
 * attentionGolden("softcap 1.5").q.shape; // [2, 5, 4, 3], that is B T H d
 * ```
 */
export function attentionGolden(name: string): AttentionGolden {
  const file = goldenFile();
  const entry = file[name];
  if (!entry) throw new UserError(`Golden attention "${name}": unknown.${didYouMean(name, Object.keys(file))}`);
  return LAYERS.includes(name) ? entry : { ...file.shared, ...entry };
}

/** Some tensors of a case as inputs of a graph under their own names, and the numbers to feed them. */
export function goldenInputs(
  golden: AttentionGolden,
  names: readonly string[],
): { tensors: Record<string, Tensor>; feeds: Record<string, Values> } {
  const tensors = Object.fromEntries(names.map((name) => [name, input(name, golden[name].shape)]));
  const feeds = Object.fromEntries(names.map((name) => [name, Float64Array.from(golden[name].data)]));
  return { tensors, feeds };
}
