// Score modifiers of a user's own: imported from the TypeScript files that a configuration names.
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
export function isUserModifier(found: unknown): found is UserModifier {
  return typeof found === "object" && found !== null &&
    typeof (found as { modifier?: unknown }).modifier === "function";
}

/** A layer's own modifier, loaded from its file. */
export function userModifier({ modifier }: AttentionLayer): UserModifier | undefined {
  if (!modifier) return undefined;
  if (!("modifier" in modifier)) {
    throw new Error(`The modifier ${modifier.name} of ${modifier.file} is not loaded: see loadModifiers.`);
  }
  return modifier;
}

/** The names of a file's exports that are score modifiers. */
export const modifierNames = (exports: Readonly<Record<string, unknown>>): string[] =>
  Object.keys(exports).filter((name) => isUserModifier(exports[name]));

/** The key that makes an object a modifier, where it has it misspelt. */
export const almostModifier = (found: unknown): string | undefined =>
  isRecord(found) ? misspelling(Object.keys(found), ["modifier"])?.near : undefined;

/** Keys of a user's modifier. */
const KEYS = ["modifier", "tables"];

/**
 * The score modifier that a user's function gave.
 *
 * @throws {UserError} with the place before it, where it is none, or reads a variable or a table that is not there
 */
export function checkModifier(place: string, found: unknown): ScoreModifier {
  const isExpression = (x: unknown) => isMapping(x) && typeof x.kind === "string";
  const isTensor = (x: unknown) => isMapping(x) && "node" in x;
  const { expression, tables } = (isMapping(found) ? found : {}) as Partial<ScoreModifier>;
  if (isExpression(expression) && isRecord(tables) && Object.values(tables).every(isTensor)) {
    return callUser(place, () => modifier(expression!, tables));
  }
  const what = isExpression(found) ? "an expression alone" : describe(found);
  throw new UserError(`${place}: expected modifier(expression, tables) in return, found ${what}.`);
}

/** What a user's modifier says of its tables, checked. */
function checkTables(place: string, found: unknown): ReturnType<NonNullable<UserModifier["tables"]>> {
  const expected = "expected an object of { shape, start } by name";
  if (!isRecord(found)) throw new UserError(`${place}: ${expected}, found ${describe(found)}.`);
  for (const [name, table] of Object.entries(found)) {
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
  return found as ReturnType<NonNullable<UserModifier["tables"]>>;
}

/** A modifier whose returns are checked. */
function checked(place: string, own: UserModifier): UserModifier {
  const { tables } = own;
  if (tables !== undefined && typeof tables !== "function") {
    throw new UserError(`${place}: tables: expected a function, found ${describe(tables)}.`);
  }
  const inBlock = (what: string, block: number) => `${place}: ${what} of block ${block}`;
  return {
    ...(tables && {
      tables: (sizes) => {
        const at = inBlock("tables", sizes.block);
        return checkTables(at, callUser(at, () => own.tables!(sizes)));
      },
    }),
    modifier: (given, sizes) => {
      const at = inBlock("modifier", sizes.block);
      return checkModifier(at, callUser(at, () => own.modifier(given, sizes)));
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
  const found = exports[name];
  if (isRecord(found)) checkKeys(`${file}: ${name}`, found, KEYS);
  if (!isUserModifier(found)) {
    throw new UserError(
      `modifier ${name} of ${file}: expected an object with a function "modifier", found ${describe(found)}.`,
    );
  }
  return checked(`${file}: ${name}`, found);
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
 * @category Models
 */
export async function findModifier(file: string): Promise<ModifierSource> {
  const found = modifierNames(await exportsOf(file, "--hooks"));
  if (found.length === 1) return { file, name: found[0] };
  throw new UserError(
    `--hooks: expected ${file} to export one score modifier, found ${found.join(", ") || "none"}.`,
  );
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
 * import { loadConfig } from "../../mod.ts";
 * import { architectureOf, loadModifiers } from "./mod.ts";
 * const { model } = await loadConfig("default", []);
 * const architecture = await loadModifiers(architectureOf(model, 65));
 * ```
 */
export async function loadModifiers(architecture: Architecture): Promise<Architecture> {
  const blocks = architecture.blocks && await Promise.all(architecture.blocks.map(loaded));
  return { ...architecture, block: await loaded(architecture.block), ...(blocks ? { blocks } : {}) };
}
