// Text from the user's own files. Every way a file can disappoint is one line that names it, before any
// training.
import { basename, dirname, join } from "node:path";
import { nearest, UserError } from "../errors.ts";

/** One text file that was read. */
export interface TextFile {
  /** The path it was read from. */
  path: string;
  /** Its content; a byte order mark is left out. */
  text: string;
}

/** What went wrong, on one line. */
export function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
}

/**
 * UTF-8 bytes as text, a byte order mark left out.
 *
 * @param bytes the content of a file
 * @param place what the error calls it, a path
 * @throws UserError where the bytes are not UTF-8
 */
export function decodeUtf8(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${place} is not UTF-8 text; expected a text file encoded as UTF-8.`);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry.name);
  return names.sort();
}

async function missing(path: string): Promise<UserError> {
  const folder = dirname(path);
  let names: string[];
  try {
    names = await namesIn(folder);
  } catch {
    return new UserError(
      `${path} does not exist, nor can its folder ${folder} be read; expected a text file.`,
    );
  }
  const near = nearest(basename(path), names);
  const hint = near === undefined ? "" : ` Did you mean "${join(folder, near)}"?`;
  return new UserError(`${path} does not exist; expected a text file or a folder of .txt files.${hint}`);
}

async function refusal(path: string, error: unknown): Promise<UserError> {
  if (error instanceof Deno.errors.NotFound) return await missing(path);
  return new UserError(`${path} cannot be read (${oneLine(error)}); expected a text file.`);
}

async function readFile(path: string): Promise<TextFile> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw await refusal(path, error);
  }
  const text = decodeUtf8(bytes, path);
  if (text.trim() === "") throw new UserError(`${path} is empty; expected a file with some text.`);
  return { path, text };
}

async function expand(path: string): Promise<string[]> {
  let names: string[];
  try {
    if (!(await Deno.stat(path)).isDirectory) return [path];
    names = await namesIn(path);
  } catch (error) {
    throw await refusal(path, error);
  }
  const texts = names.filter((name) => name.endsWith(".txt"));
  if (texts.length === 0) {
    throw new UserError(`${path} is a folder without .txt files; expected at least one.`);
  }
  return texts.map((name) => join(path, name));
}

/**
 * Text files in the order given; a folder stands for the .txt files directly in it, sorted by code unit.
 *
 * @param paths files or folders, absolute or relative to the current directory
 * @returns one record a file
 * @throws UserError at a missing file (with the nearest name in its folder), one that cannot be read, an
 *   empty one, one that is not UTF-8, a folder without .txt files
 *
 * @example
 * ```ts
 * import { readFiles } from "./files.ts";
 * const path = await Deno.makeTempFile({ suffix: ".txt" });
 * await Deno.writeTextFile(path, "hello");
 * (await readFiles([path]))[0].text; // "hello"
 * ```
 */
export async function readFiles(paths: readonly string[]): Promise<TextFile[]> {
  const files: TextFile[] = [];
  for (const path of paths) {
    for (const file of await expand(path)) files.push(await readFile(file));
  }
  return files;
}
