// Loads a user's file for check_attention.
import { closestString, UserError } from "../base/errors.ts";
import { describe, exportsOf } from "../base/user_file.ts";
import { type AttentionImplementation, loadAttention } from "./attention_implementation.ts";
import { LAYER_KINDS, type LayerFunction, type LayerImplementation } from "./layer_check.ts";

/** The exports of a user's file to check. */
export interface CheckedExports {
  /** The function `attention`, if the file exports it. */
  readonly attention?: AttentionImplementation;
  /** The functions `multiHead` and `decoderLayer`, if the file exports them. */
  readonly layers: readonly LayerImplementation[];
}

/**
 * Loads the functions to check that a TypeScript file exports: `attention` with `attentionGradient`, `multiHead`,
 * `decoderLayer`.
 *
 * @throws {UserError} if the file cannot be imported, has none of these exports, or one is not a function
 */
export async function loadChecked(file: string): Promise<CheckedExports> {
  const exported = await exportsOf(file, "--file");
  const names = ["attention", ...LAYER_KINDS];
  if (!names.some((name) => name in exported)) {
    const near = Object.keys(exported).map((name) => closestString(name, names)).find((name) =>
      name !== undefined
    );
    const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
    throw new UserError(`${file}: exports no function "attention", "multiHead" or "decoderLayer".${hint}`);
  }
  const layers = LAYER_KINDS.filter((kind) => kind in exported).map((kind): LayerImplementation => {
    const layer = exported[kind];
    if (typeof layer === "function") return { name: `${file}, ${kind}`, kind, layer: layer as LayerFunction };
    throw new UserError(`${file}: ${kind}: expected a function, found ${describe(layer)}.`);
  });
  return "attention" in exported ? { attention: await loadAttention(file), layers } : { layers };
}
