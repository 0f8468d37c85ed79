// What check_attention reads from a file of one's own.
import { closestString, UserError } from "../base/errors.ts";
import { describe, exportsOf } from "../base/user_file.ts";
import { type AttentionImplementation, loadAttention } from "./attention_implementation.ts";
import { LAYER_KINDS, type LayerFunction, type LayerImplementation } from "./layer_check.ts";

/** What a file of one's own exports to be checked. */
export interface CheckedExports {
  /** Its `attention`. */
  readonly attention?: AttentionImplementation;
  /** Its `multiHead` and `decoderLayer`. */
  readonly layers: readonly LayerImplementation[];
}

/**
 * What a TypeScript file exports to be checked: `attention`, with `attentionGradient` beside it, `multiHead`, `decoderLayer`.
 *
 * @throws {UserError} where the file cannot be imported, or has none of these exports, or one that is no function
 */
export async function loadChecked(file: string): Promise<CheckedExports> {
  const found = await exportsOf(file, "--file");
  const names = ["attention", ...LAYER_KINDS];
  if (!names.some((name) => name in found)) {
    const near = Object.keys(found).map((name) => closestString(name, names)).find((name) =>
      name !== undefined
    );
    const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
    throw new UserError(`${file}: exports no function "attention", "multiHead" or "decoderLayer".${hint}`);
  }
  const layers = LAYER_KINDS.filter((kind) => kind in found).map((kind): LayerImplementation => {
    const layer = found[kind];
    if (typeof layer === "function") return { name: `${file}, ${kind}`, kind, layer: layer as LayerFunction };
    throw new UserError(`${file}: ${kind}: expected a function, found ${describe(layer)}.`);
  });
  return "attention" in found ? { attention: await loadAttention(file), layers } : { layers };
}
