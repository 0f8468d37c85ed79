// Reads the user's text files. Every problem with a file is reported before training, in one line that names the file.
import { namesIn, readWhole } from "../base/whole_file.ts";
import { basename, dirname, join } from "node:path";
import { closestString, UserError } from "../base/errors.ts";
import { refuseLfsPointer } from "./lfs_pointer.ts";
import { LONGEST_STRING, piecesOfText, stringOfText } from "./text_bytes.ts";

/** The path and content of a text file. */
export interface TextFile {
  /** The path from which the file was read. */
  path: string;
  /** The file's content, without a byte order mark. */
  text: string;
}

/** Returns the message of an error on one line. */
export function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
}

/** Removes a leading byte order mark. */
const withoutMark = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;

const notUtf8 = (place: string) =>
  new UserError(`${place} is not UTF-8 text; expected a text file encoded as UTF-8.`);

export const tooLong = (place: string) =>
  new UserError(
    `${place} has more than ${LONGEST_STRING} characters, the maximum length of a string; expected fewer.`,
  );

/** Decodes UTF-8 to one string; throws UserError if the bytes are not UTF-8 or too many for a string. */
export function stringOfBytes(bytes: Uint8Array<ArrayBuffer>, place: string): string {
  let text: string | undefined;
  try {
    text = stringOfText([bytes]);
  } catch {
    throw notUtf8(place);
  }
  if (text !== undefined) return text;
  throw tooLong(place);
}

/**
 * Decodes UTF-8 to one string without a byte order mark; throws UserError if the bytes are not UTF-8 or too many for a string.
 */
export const decodeUtf8 = (bytes: Uint8Array<ArrayBuffer>, place: string): string =>
  stringOfBytes(withoutMark(bytes), place);

/** Returns the bytes without a byte order mark; throws UserError if they are not UTF-8 or contain only white space. */
export function checkedUtf8(bytes: Uint8Array<ArrayBuffer>, place: string): Uint8Array<ArrayBuffer> {
  const text = withoutMark(bytes);
  let isBlank = true;
  try {
    for (const piece of piecesOfText([text])) isBlank &&= piece.trim() === "";
  } catch {
    throw notUtf8(place);
  }
  if (isBlank) throw new UserError(`${place} is empty; expected a file with some text.`);
  return text;
}

async function missing(path: string): Promise<UserError> {
  const folder = dirname(path);
  const names = await namesIn(folder).catch(() => undefined);
  const unread = `${path} does not exist, and its folder ${folder} cannot be read; expected a text file.`;
  if (!names) return new UserError(unread);
  const near = closestString(basename(path), names);
  const hint = near === undefined ? "" : ` Did you mean "${join(folder, near)}"?`;
  return new UserError(`${path} does not exist; expected a text file or a folder of .txt files.${hint}`);
}

/** Returns the UserError for a file that cannot be opened or read. */
export async function refusal(path: string, error: unknown): Promise<UserError> {
  if (error instanceof UserError) return error;
  if (error instanceof Deno.errors.NotFound) return await missing(path);
  return new UserError(`${path} cannot be read (${oneLine(error)}); expected a text file.`);
}

/** Reads the bytes of a file; throws UserError if the file is missing, unreadable or a Git LFS pointer. */
export async function rawBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await readWhole(path).catch(async (error) => {
    throw await refusal(path, error);
  });
  refuseLfsPointer(bytes, path);
  return bytes;
}

/**
 * Returns `path` if it is a file. If it is a folder, returns the paths of the files in it whose names end in one of `ends`, and
 * throws UserError if there are none.
 */
export async function expand(path: string, ends: readonly string[] = [".txt"]): Promise<string[]> {
  let names: string[];
  try {
    if (!(await Deno.stat(path)).isDirectory) return [path];
    names = await namesIn(path);
  } catch (error) {
    throw await refusal(path, error);
  }
  const texts = names.filter((name) => ends.some((end) => name.endsWith(end)));
  if (texts.length === 0) {
    throw new UserError(`${path} is a folder without ${ends.join(" or ")} files; expected at least one.`);
  }
  return texts.map((name) => join(path, name));
}

/**
 * Reads text files in the order given; a folder means the .txt files directly in it, sorted by the code units of their names.
 *
 * @param paths files or folders, absolute or relative to the current directory
 * @returns one record per file
 * @throws UserError if a file is missing (with the nearest name in its folder), unreadable, empty, not UTF-8 or
 *   too long for a string, or a folder has no .txt files
 *
 * @example
 * ```ts
 * import { readFiles } from "./files.ts";
 * const path = await Deno.makeTempFile({ suffix: ".txt" });
 * await Deno.writeTextFile(path, "hello");
 * (await readFiles([path]))[0].text; // "hello"
 * ```
 * @category Data
 */
export async function readFiles(paths: readonly string[]): Promise<TextFile[]> {
  return (await readFileBytes(paths)).map(({ path, bytes }) => ({ path, text: stringOfBytes(bytes, path) }));
}

/**
 * Reads the same files as `readFiles`, but returns UTF-8 bytes of any length. The bytes of each file are in a buffer with room
 * for one more byte.
 */
export async function readFileBytes(paths: readonly string[]) {
  const files: { path: string; bytes: Uint8Array<ArrayBuffer> }[] = [];
  for (const path of paths) {
    for (const file of await expand(path)) {
      files.push({ path: file, bytes: checkedUtf8(await rawBytes(file), file) });
    }
  }
  return files;
}
