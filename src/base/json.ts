// JSON that somebody else may have written: not so deep that what walks through it overflows the stack.
import { UserError } from "./errors.ts";

/** Lists and objects within one another that anything heed reads may have. */
export const MOST_NESTED = 64;

/** Whether a value has more than so many lists and objects within one another. */
function isDeeper(value: unknown, than: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return than === 0 || Object.values(value).some((entry) => isDeeper(entry, than - 1));
}

/** Whether the value of a text of JSON has more than `MOST_NESTED` lists and objects within one another. */
export function isTooDeep(text: string, value: unknown): boolean {
  // Searching the text is quicker than walking through the value, and most have nothing within them.
  return (text.includes("[") || text.includes("{", 1)) && isDeeper(value, MOST_NESTED);
}

/**
 * The value of a text of JSON.
 *
 * @throws {SyntaxError} where it is not JSON, or has more than `MOST_NESTED` lists and objects within one another
 */
// deno-lint-ignore no-explicit-any
export function parseJson(text: string): any {
  const value = JSON.parse(text);
  if (!isTooDeep(text, value)) return value;
  throw new SyntaxError(`more than ${MOST_NESTED} lists and objects within one another`);
}

/** The value of a JSON file's bytes; throws UserError where it is not UTF-8, not JSON or too deep. */
export function jsonOfBytes(bytes: Uint8Array, place: string): unknown {
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, " ").slice(0, 100);
    throw new UserError(`${place}: not valid JSON: ${reason}.`);
  }
}
