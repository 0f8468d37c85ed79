// The errors that a user can cause: UserError for a mistake of the user, and UserCodeError for an error that the user's
// code throws. Any other error is a bug in heed.
import { basename, dirname, join } from "node:path";
import { RENAMED_FIELDS, renamedCall } from "./renamed.ts";

/**
 * The error for a user's mistake. Its message is one line that says where the mistake is, what was found and what was
 * expected. Scripts that fail with it exit with status 2.
 * @category Scripts
 */
export class UserError extends Error {
  /** `UserError`. */
  override name = "UserError";
}

/** An error thrown by user code. Its message says in one line which code threw what; its `cause` is the thrown value. */
export class UserCodeError extends Error {
  /** `UserCodeError`. */
  override name = "UserCodeError";
}

/**
 * Calls user code: a hook or a task.
 *
 * @param place the called code, for messages: `mine.ts: freeze at step 3`
 * @throws {UserError} if the code threw a UserError (as heed's own functions do) or called a renamed export; the message
 * begins with the place
 * @throws {UserCodeError} if the code threw anything else
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

/** Prefixes the message of a {@link UserError} with `place: `; returns any other error unchanged. */
export const placed = (place: string, thrown: unknown): unknown =>
  thrown instanceof UserError ? new UserError(`${place}: ${thrown.message}`) : thrown;

/** Returns the result of a call; the message of a UserError that it throws is prefixed with `place: `. */
export function atPlace<T>(place: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw placed(place, error);
  }
}

/** The error to throw after user code has thrown `cause` (see `callUser`). */
export function thrownBy(place: string, cause: unknown): Error {
  if (cause instanceof UserError) return new UserError(`${place}: ${cause.message}`);
  const renamed = renamedCall(cause);
  if (renamed !== undefined) return new UserError(`${place}: ${renamed}.`);
  return new UserCodeError(`${place} threw ${reasonOf(cause).split("\n")[0]}`, { cause });
}

/** Throws UserError if a user's object has a field under its old name and not under its new one. */
export function refuseRenamed(place: string, object: object): void {
  const old = Object.keys(object).find((key) =>
    Object.hasOwn(RENAMED_FIELDS, key) && !(RENAMED_FIELDS[key] in object)
  );
  if (old !== undefined) throw new UserError(`${place}: ${old} is now ${RENAMED_FIELDS[old]}.`);
}

/** Returns a thrown value as text: the name and the message of an error, or any other value converted to a string. */
function reasonOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
  } catch {
    return "a value that cannot be converted to text";
  }
}

/** Returns the stack of a thrown value or, if the value has no stack, its text (see `reasonOf`). */
export function stackOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.stack === "string") return thrown.stack;
  } catch { /* Reading the stack threw. */ }
  return reasonOf(thrown);
}

/** Levenshtein distance with transpositions of adjacent characters (optimal string alignment). */
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
 * Returns the known name with the smallest edit distance to `name`, ignoring case. Returns undefined if that distance is
 * greater than 1 and greater than half the length of `name`.
 *
 * @example
 * ```ts
 * import { closestString } from "./errors.ts";
 * closestString("sofmax", ["softmax", "sigmoid"]); // "softmax"
 * ```
 */
export function closestString(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let limit = Math.max(1, Math.floor(name.length / 2)) + 1;
  for (const candidate of known) {
    // The distance is at least the difference in length, so a megabyte-long name is never compared letter by letter.
    if (Math.abs(candidate.length - name.length) >= limit) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < limit) [best, limit] = [candidate, distance];
  }
  return best;
}

/** Returns ` Did you mean "softmax"?` if a known name is close to `name`, otherwise ` Known: a, b, c.`
 * @category Scripts */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = [...known];
  const near = closestString(name, names);
  return near !== undefined ? ` Did you mean "${near}"?` : ` Known: ${names.join(", ")}.`;
}

/** Returns the system's reason for a failed file operation, without the error number and the path. */
function systemReason(error: Error): string {
  return error.message.replace(/\s*\(os error \d+\)[\s\S]*$/, "").replace(/[\s.]+$/, "");
}

/**
 * Returns ` Did you mean "runs"?` if the folder that should contain a missing path has an entry with a similar name,
 * otherwise an empty text. Reads the folder.
 */
export function missingHint(path: string): string {
  try {
    const folder = dirname(path);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
      !name.startsWith(".")
    );
    // The path itself exists; something below it, or the target of a rename, is missing.
    if (names.includes(basename(path))) return "";
    const near = closestString(basename(path), names.sort());
    return near === undefined ? "" : ` Did you mean "${join(folder, near)}"?`;
  } catch {
    return "";
  }
}

/**
 * Returns the error to throw for a failed file operation. For system errors (no space, no permission, not a folder) it is a
 * {@link UserError} with the message `<path>: <the system's reason>.`; any other error is a bug and is returned unchanged.
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

/** Returns a rejection handler that throws the {@link fileError} of a path: `Deno.open(path).catch(refused(path))`. */
export const refused = (path: string) => (error: unknown): never => {
  throw fileError(path, error);
};
