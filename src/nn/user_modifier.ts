// Score modifiers of a user's own: imported from the TypeScript files that a configuration names.
import { suggestion, UserError } from "../errors.ts";
import { exportsOf } from "../user_file.ts";
import type { Architecture, BlockChoices, ModifierSource, UserModifier } from "./architecture.ts";

function isUserModifier(found: unknown): found is UserModifier {
  return typeof found === "object" && found !== null &&
    typeof (found as { modifier?: unknown }).modifier === "function";
}

async function load({ file, name }: ModifierSource): Promise<UserModifier> {
  const exports = await exportsOf(file, `modifier ${name}`);
  if (!Object.hasOwn(exports, name)) {
    throw new UserError(
      `modifier ${name}: ${file} has no such export.${suggestion(name, Object.keys(exports))}`,
    );
  }
  const found = exports[name];
  if (!isUserModifier(found)) {
    throw new UserError(
      `modifier ${name} of ${file}: expected an object with a function "modifier", found ${typeof found}.`,
    );
  }
  return found;
}

/**
 * The score modifier that a user's file exports, as a configuration names it: `model.block.attention.modifier`.
 *
 * @throws {UserError} where the file cannot be imported, or exports none or several
 *
 * @example
 * ```ts
 * import { findModifier } from "../../mod.ts";
 * await Deno.writeTextFile("mine.ts", "export const steep = { modifier: () => undefined };");
 * console.log(await findModifier("mine.ts")); // { file: "mine.ts", name: "steep" }
 * ```
 */
export async function findModifier(file: string): Promise<ModifierSource> {
  const found = Object.entries(await exportsOf(file, "--hooks")).filter(([, value]) => isUserModifier(value));
  if (found.length === 1) return { file, name: found[0][0] };
  const names = found.map(([name]) => name).join(", ") || "none";
  throw new UserError(`--hooks: expected ${file} to export one score modifier, found ${names}.`);
}

/** The architecture without the modifiers that its blocks name by file. */
export function withoutModifiers(architecture: Architecture): Architecture {
  const without = (block: BlockChoices): BlockChoices =>
    block.attention?.modifier ? { ...block, attention: { ...block.attention, modifier: null } } : block;
  const blocks = architecture.blocks?.map(without);
  return { ...architecture, block: without(architecture.block), ...(blocks ? { blocks } : {}) };
}

async function loaded(block: BlockChoices): Promise<BlockChoices> {
  const source = block.attention?.modifier;
  if (!source || "modifier" in source) return block;
  return { ...block, attention: { ...block.attention, modifier: await load(source) } };
}

/**
 * The architecture with every modifier that its blocks name by file loaded; what the decoder needs before it is built.
 * Where no block names one, nothing is read.
 *
 * @throws {UserError} where a file cannot be imported, or has no such export
 *
 * @example
 * ```ts
 * import { architectureOf, loadConfig, loadModifiers } from "../../mod.ts";
 * const { model } = await loadConfig("default", []);
 * const architecture = await loadModifiers(architectureOf(model, 65));
 * ```
 */
export async function loadModifiers(architecture: Architecture): Promise<Architecture> {
  const blocks = architecture.blocks && await Promise.all(architecture.blocks.map(loaded));
  return { ...architecture, block: await loaded(architecture.block), ...(blocks ? { blocks } : {}) };
}
