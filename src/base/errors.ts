// The one error a user can cause. Everything else that throws is a bug and keeps its stack.
import { basename, dirname, join } from "node:path";
import { RENAMED_FIELDS, renamedCall } from "./renamed.ts";

/** A mistake of the user's, told in one line: the place, what was found, what was expected. Scripts exit with 2.
 * @category Scripts */
export class UserError extends Error {
  /** `UserError`. */
  override name = "UserError";
}

/** What a user's own code threw: the message says in one line where, the cause keeps its stack. */
export class UserCodeError extends Error {
  /** `UserCodeError`. */
  override name = "UserCodeError";
}

/**
 * Calls code of the user's, a hook or a task.
 *
 * @param place what is called: `mine.ts: freeze at step 3`
 * @throws {UserError} with the place before it, where heed refused what the code asked of it
 * @throws {UserCodeError} where the code threw anything else
 *
 * @example
 * ```ts
 * import { callUser } from "./errors.ts";
 * callUser("mine.ts: freeze at step 3", () => ["embed.*"]); // ["embed.*"]
 * ```
 */
export function callUser<T>(place: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw thrownBy(place, error);
  }
}

/** What was thrown; the message of a {@link UserError} begins with `place: ` then. */
export const placed = (place: string, thrown: unknown): unknown =>
  thrown instanceof UserError ? new UserError(`${place}: ${thrown.message}`) : thrown;

/** What a call gives; what it throws is {@link placed}. */
export function atPlace<T>(place: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw placed(place, error);
  }
}

/** What to throw for what code of the user's threw (see `callUser`). */
export function thrownBy(place: string, cause: unknown): Error {
  if (cause instanceof UserError) return new UserError(`${place}: ${cause.message}`);
  const renamed = renamedCall(cause);
  if (renamed !== undefined) return new UserError(`${place}: ${renamed}.`);
  return new UserCodeError(`${place} threw ${reasonOf(cause).split("\n")[0]}`, { cause });
}

/** Throws where an object of the user's has a field by the name of before, and not by that of now. */
export function refuseRenamed(place: string, given: object): void {
  const old = Object.keys(given).find((key) =>
    Object.hasOwn(RENAMED_FIELDS, key) && !(RENAMED_FIELDS[key] in given)
  );
  if (old !== undefined) throw new UserError(`${place}: ${old} is now ${RENAMED_FIELDS[old]}.`);
}

/** What was thrown, in a text: the name and the message of an error. It may be anything, and may throw itself. */
function reasonOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  } catch {
    return "what has no text";
  }
}

/** The stack of what was thrown; where it has none, what it is. */
export function stackOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.stack === "string") return thrown.stack;
  } catch { /* It throws when it is looked at. */ }
  return reasonOf(thrown);
}

/** Levenshtein distance with transpositions of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) rows[0][j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.length][b.length];
}

/**
 * The known name nearest to what was written, or undefined where none is near (more than half of it differs).
 *
 * @example
 * ```ts
 * import { closestString } from "./errors.ts";
 * closestString("sofmax", ["softmax", "sigmoid"]); // "softmax"
 * ```
 */
export function closestString(found: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(found.length / 2)) + 1;
  for (const name of known) {
    // As many edits at least; and a name of a megabyte is not to be compared letter by letter.
    if (Math.abs(name.length - found.length) >= least) continue;
    const distance = editDistance(found.toLowerCase(), name.toLowerCase());
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

/** ` Did you mean "softmax"?` where a known name is near, else ` Known: a, b, c.`
 * @category Scripts */
export function didYouMean(found: string, known: Iterable<string>): string {
  const names = [...known];
  const near = closestString(found, names);
  return near !== undefined ? ` Did you mean "${near}"?` : ` Known: ${names.join(", ")}.`;
}

/** The reason of a failed file operation in the system's words, without the number and the repeated path. */
function systemReason(error: Error): string {
  return error.message.replace(/\s*\(os error \d+\)[\s\S]*$/, "").replace(/[\s.]+$/, "");
}

/** ` Did you mean "runs"?` where a missing path's folder has a name that is near; reads the folder. */
export function missingHint(path: string): string {
  try {
    const folder = dirname(path);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
      !name.startsWith(".")
    );
    // It is there, and something below it or on the way of a rename is not.
    if (names.includes(basename(path))) return "";
    const near = closestString(basename(path), names.sort());
    return near === undefined ? "" : ` Did you mean "${join(folder, near)}"?`;
  } catch {
    return "";
  }
}

/**
 * What to throw for an error of the file system: a {@link UserError} `<path>: <the system's reason>.` for what the system
 * refused (no space, no permission, not a folder), and any other error as it is, for it is a bug.
 *
 * @example
 * ```ts
 * import { fileError } from "./errors.ts";
 * fileError("log.ndjson", new Deno.errors.NotFound("No such file or directory (os error 2)"));
 * // UserError: log.ndjson: No such file or directory.
 * ```
 * @category Scripts
 */
export function fileError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UserError) return error;
  const refused = /\(os error \d+\)/.test(error.message) || error instanceof Deno.errors.NotCapable ||
    /^E[A-Z0-9]+$/.test(String((error as { code?: unknown }).code));
  const hint = error instanceof Deno.errors.NotFound ? missingHint(path) : "";
  return refused ? new UserError(`${path}: ${systemReason(error)}.${hint}`) : error;
}

/** Throws {@link fileError} of what a promise was rejected with: `Deno.open(path).catch(refused(path))`. */
export const refused = (path: string) => (error: unknown): never => {
  throw fileError(path, error);
};
