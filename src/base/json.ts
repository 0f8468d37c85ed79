// Parses untrusted JSON, with a limit on nesting so that a recursive walk cannot overflow the stack.
import { UserError } from "./errors.ts";

/** Maximum nesting depth of lists and objects in any file that heed reads. */
export const MOST_NESTED = 64;

/** Whether lists and objects are nested more than `depth` levels deep. */
function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((entry) => isDeeper(entry, depth - 1));
}

/** Whether the value of a JSON text is nested more than `MOST_NESTED` levels deep. */
export function isTooDeep(text: string, value: unknown): boolean {
  // Searching the text is faster than walking the value, and most values are flat.
  return (text.includes("[") || text.includes("{", 1)) && isDeeper(value, MOST_NESTED);
}

/**
 * Parses a JSON text.
 *
 * @throws {SyntaxError} if the text is not JSON, or if its value is nested more than `MOST_NESTED` levels deep
 */
// deno-lint-ignore no-explicit-any
export function parseJson(text: string): any {
  const value = JSON.parse(text);
  if (!isTooDeep(text, value)) return value;
  throw new SyntaxError(`nested more than ${MOST_NESTED} levels deep`);
}

/** Parses the bytes of a JSON file; throws UserError if they are not UTF-8, not JSON or nested too deep. */
export function jsonOfBytes(bytes: Uint8Array, place: string): unknown {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, " ").slice(0, 100);
    throw new UserError(`${place}: not valid JSON: ${reason}.`);
  }
}
