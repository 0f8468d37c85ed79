// TypeScript files of a user's: hooks, modifiers, implementations.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { UserError } from "./errors.ts";

/**
 * Imports a user's TypeScript file.
 *
 * @throws {UserError} with the place `what` where it is not there or does not load
 *
 * @example
 * ```ts
 * import { exportsOf } from "../mod.ts";
 * await Deno.writeTextFile("answer.ts", "export const answer = 42;");
 * console.log((await exportsOf("answer.ts", "hooks.file")).answer); // 42
 * ```
 */
export async function exportsOf(file: string, what: string): Promise<Record<string, unknown>> {
  try {
    await Deno.stat(file);
    return await import(pathToFileURL(resolve(file)).href);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new UserError(`${what}: ${file} cannot be loaded: ${reason}`);
  }
}
