// Users' score modifiers, imported from the TypeScript files that a configuration names.
import { modifier, type ScoreModifier } from "../../kernels/attention/modifier.ts";
import { isMapping, showPath } from "../base/show.ts";
import { callUser, didYouMean, UserError } from "../base/errors.ts";
import { checkKeys, describe, exportsOf, isRecord, misspelling } from "../base/user_file.ts";
import type {
  Architecture,
  AttentionLayer,
  BlockChoices,
  ModifierSource,
  UserModifier,
} from "./architecture.ts";

/** Whether an export is a score modifier. */
export function isUserModifier(value: unknown): value is UserModifier {
  return typeof value === "object" && value !== null &&
    typeof (value as { modifier?: unknown }).modifier === "function";
}

/** Returns the user modifier of a layer, which must already be loaded from its file; undefined if the layer has none. */
export function userModifier({ modifier }: AttentionLayer): UserModifier | undefined {
  if (!modifier) return undefined;
  if (!("modifier" in modifier)) {
    throw new Error(`The modifier ${modifier.name} of ${modifier.file} is not loaded: see loadModifiers.`);
  }
  return modifier;
}

/** Names of a file's exports that are score modifiers. */
export const modifierNames = (exports: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(exports).filter((name) => isUserModifier(exports[name]));

/** Returns "modifier" if an object lacks this key but has a key whose name resembles it; otherwise returns undefined. */
export const almostModifier = (value: unknown): string | undefined =>
  isRecord(value) ? misspelling(Object.keys(value), ["modifier"])?.near : undefined;

/** Fields of a user's modifier. */
const KEYS = ["modifier", "tables"];

/**
 * Checks that a user's function returned a score modifier.
 *
 * @throws {UserError} if it did not, or if the modifier reads a variable or table that does not exist
 */
export function checkModifier(place: string, value: unknown): ScoreModifier {
  const isExpression = (x: unknown) => isMapping(x) && typeof x.kind === "string";
  const isTensor = (x: unknown) => isMapping(x) && "node" in x;
  const { expression, tables } = (isMapping(value) ? value : {}) as Partial<ScoreModifier>;
  if (isExpression(expression) && isRecord(tables) && Object.values(tables).every(isTensor)) {
    return callUser(place, () => modifier(expression!, tables));
  }
  const what = isExpression(value) ? "only an expression" : describe(value);
  throw new UserError(`${place}: expected it to return modifier(expression, tables), found ${what}.`);
}

/** Checks the tables that a user's modifier declares. */
function checkTables(place: string, declared: unknown): ReturnType<NonNullable<UserModifier["tables"]>> {
  const expected = "expected an object of { shape, start } by name";
  if (!isRecord(declared)) throw new UserError(`${place}: ${expected}, found ${describe(declared)}.`);
  for (const [name, table] of Object.entries(declared)) {
    const { shape, start } = isMapping(table) ? table : {};
    const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 1);
    if (isShape && typeof start === "number" && Number.isFinite(start)) continue;
    const what = !isMapping(table)
      ? describe(table)
      : isShape
      ? `start: ${describe(start)}`
      : `shape: ${Array.isArray(shape) ? `[${shape.map(describe).join(", ")}]` : describe(shape)}`;
    throw new UserError(
      `${place}: ${expected}, whole sizes and a finite number; ${showPath([name])} has ${what}.`,
    );
  }
  return declared as ReturnType<NonNullable<UserModifier["tables"]>>;
}

/** Wraps a modifier so that its return values are checked. */
function checked(place: string, user: UserModifier): UserModifier {
  const { tables } = user;
  if (tables !== undefined && typeof tables !== "function") {
    throw new UserError(`${place}: tables: expected a function, found ${describe(tables)}.`);
  }
  const inBlock = (what: string, block: number) => `${place}: ${what} of block ${block}`;
  return {
    ...(tables && {
      tables: (sizes) => {
        const at = inBlock("tables", sizes.block);
        return checkTables(at, callUser(at, () => user.tables!(sizes)));
      },
    }),
    modifier: (given, sizes) => {
      const at = inBlock("modifier", sizes.block);
      return checkModifier(at, callUser(at, () => user.modifier(given, sizes)));
    },
  };
}

async function load({ file, name }: ModifierSource): Promise<UserModifier> {
  const exports = await exportsOf(file, `modifier ${name}`);
  if (!Object.hasOwn(exports, name)) {
    throw new UserError(
      `modifier ${name}: ${file} has no such export.${didYouMean(name, Object.keys(exports))}`,
    );
  }
  const value = exports[name];
  if (isRecord(value)) checkKeys(`${file}: ${name}`, value, KEYS);
  if (!isUserModifier(value)) {
    throw new UserError(
      `modifier ${name} of ${file}: expected an object with a function "modifier", found ${describe(value)}.`,
    );
  }
  return checked(`${file}: ${name}`, value);
}

/**
 * Finds the score modifier that a user's file exports; the result is a value for `model.block.attention.modifier`.
 *
 * @throws {UserError} if the file cannot be imported, or exports no modifier or several
 *
 * @example
 * ```ts
 * import { findModifier } from "../../mod.ts";
 * await Deno.writeTextFile("mine.ts", "export const steep = { modifier: () => undefined };");
 * console.log(await findModifier("mine.ts")); // { file: "mine.ts", name: "steep" }
 * ```
 * @category Models
 */
export async function findModifier(file: string): Promise<ModifierSource> {
  const names = modifierNames(await exportsOf(file, "--hooks"));
  if (names.length === 1) return { file, name: names[0] };
  throw new UserError(
    `--hooks: expected ${file} to export one score modifier, found ${names.join(", ") || "none"}.`,
  );
}

/** Returns the architecture with the user modifiers of its blocks removed. */
export function withoutModifiers(architecture: Architecture): Architecture {
  const without = (block: BlockChoices): BlockChoices =>
    block.attention?.modifier ? { ...block, attention: { ...block.attention, modifier: null } } : block;
  const blocks = architecture.blocks?.map(without);
  return { ...architecture, block: without(architecture.block), ...(blocks ? { blocks } : {}) };
}

async function loadBlock(block: BlockChoices): Promise<BlockChoices> {
  const source = block.attention?.modifier;
  if (!source || "modifier" in source) return block;
  return { ...block, attention: { ...block.attention, modifier: await load(source) } };
}

/**
 * Imports every file that the architecture's blocks name for a modifier. Returns the architecture with the imported modifiers,
 * which the decoder requires. If no block names a file, nothing is read.
 *
 * @throws {UserError} if a file cannot be imported, or does not export the named modifier
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { architectureOf, loadModifiers } from "./mod.ts";
 * const { model } = await loadConfig("default", []);
 * const architecture = await loadModifiers(architectureOf(model, 65));
 * ```
 */
export async function loadModifiers(architecture: Architecture): Promise<Architecture> {
  const blocks = architecture.blocks && await Promise.all(architecture.blocks.map(loadBlock));
  return { ...architecture, block: await loadBlock(architecture.block), ...(blocks ? { blocks } : {}) };
}
