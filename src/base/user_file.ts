// Imports users' TypeScript files: hooks, modifiers, tasks, implementations of attention.
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describeValue, isMapping } from "./show.ts";
import { closestString, stackOf, thrownBy, UserError } from "./errors.ts";
import { giveRunningHeed, isHeed, missingExport } from "./running_heed.ts";
import { settled } from "./user_promise.ts";
import { readCode, type UserCode } from "./user_code.ts";

/**
 * The code of the files that this process has imported, keyed by URL. The process uses this code even if the files change
 * later.
 */
const imported = new Map<string, UserCode>();

const urlOf = (file: string): string => pathToFileURL(resolve(file)).href;

export function importedCode(file: string): UserCode | undefined {
  return imported.get(urlOf(file));
}

/**
 * Throws UserError if a file added an enumerable property to every object or array, because loops over keys would include
 * that property.
 */
function checkPrototypes(): void {
  for (const [name, prototype] of Object.entries({ Object: Object.prototype, Array: Array.prototype })) {
    const [added] = Object.keys(prototype);
    if (added === undefined) continue;
    const what = `${JSON.stringify(added)} to every ${name}`;
    throw new UserError(`it adds ${what}; expected a file that leaves built-in objects alone.`);
  }
}

/**
 * Returns the path of the user's file that threw an error, which is the first file that the error's stack names. If the
 * stack names no file, it is the first file that this process imported. Returns undefined for errors that heed or the main
 * script threw, and if this process imported no file.
 */
export function userFileThatThrew(thrown: unknown): string | undefined {
  const [file] = imported.keys();
  if (file === undefined) return undefined;
  const [, url] = /(file:\/\/[^\s)]+?):\d+:\d+/.exec(stackOf(thrown)) ?? [];
  const isUsers = url === undefined || url !== Deno.mainModule && !isHeed(url);
  return isUsers ? fileURLToPath(url ?? file) : undefined;
}

/** Returns whether an import failed before any code of the module ran, because a file is missing or has a syntax error. */
function failedToLoad(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return error instanceof SyntaxError || code === "ERR_MODULE_NOT_FOUND";
}

/**
 * Imports a user's TypeScript file.
 *
 * @param what the option or key that names the file, for messages
 * @throws {UserError} if the file does not exist or cannot be loaded
 * @throws {UserCodeError} if it throws while it loads
 *
 * @example
 * ```ts
 * import { exportsOf } from "../../mod.ts";
 * await Deno.writeTextFile("answer.ts", "export const answer = 42;");
 * console.log((await exportsOf("answer.ts", "hooks.file")).answer); // 42
 * ```
 * @category Scripts
 */
export async function exportsOf(file: string, what: string): Promise<Record<string, unknown>> {
  const url = urlOf(file);
  const refused = (reason: string) => new UserError(`${what}: ${file} cannot be loaded: ${reason}`);
  try {
    // Read once, before it runs, because the module is not imported again if the file changes.
    const code = imported.get(url) ?? await readCode(file);
    await giveRunningHeed();
    imported.set(url, code);
    // Imports from the web may take long, so they are awaited without a limit.
    const loading = import(url);
    const exports = await (code.elsewhere.length > 0 ? loading : settled(loading));
    checkPrototypes();
    return exports;
  } catch (error) {
    if (error instanceof UserError) throw refused(error.message.replace(`${file}: `, ""));
    if (failedToLoad(error)) {
      const message = (error as Error).message.replace(/^UserError: /, "");
      throw refused(await missingExport(message) ?? message.split("\n")[0]);
    }
    throw thrownBy(`${what}: ${file}`, error);
  }
}

/** Whether a value is a plain object, not a Map, a Promise or an instance of another class. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return isMapping(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value));
}

/**
 * Returns the first entry of `names` that is unknown but resembles a known name which `names` lacks; `near` is that known
 * name. Returns undefined if there is no such entry.
 */
export function misspelling(names: readonly string[], known: readonly string[]) {
  const open = known.filter((name) => !names.includes(name));
  for (const name of names) {
    const near = known.includes(name) ? undefined : closestString(name, open);
    if (near !== undefined) return { name, near };
  }
}

/** Throws UserError at a misspelt key of a user's object. */
export function checkKeys(
  place: string,
  value: Readonly<Record<string, unknown>>,
  known: readonly string[],
): void {
  const wrong = misspelling(Object.keys(value), known);
  if (wrong === undefined) return;
  throw new UserError(
    `${place}: expected the keys ${known.join(", ")}, found ${wrong.name}. Did you mean "${wrong.near}"?`,
  );
}

/** Describes a value that user code returned in a few words, for a message. */
export function describe(value: unknown): string {
  if (value instanceof Promise) return "a promise";
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (!isMapping(value) || isRecord(value)) return describeValue(value);
  return `a ${(value as object).constructor?.name || "mapping"}`;
}
