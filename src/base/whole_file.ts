// Reads complete files. Pipes and devices are rejected: they may never end, and opening a pipe blocks until there is a writer.
import { UserError } from "./errors.ts";
import { showBytes } from "./units.ts";

/** Returns what a path is, for messages, if it is neither a file nor a folder; undefined for a file or a folder. */
function specialKind({ isFile, isDirectory, isFifo, isSocket }: Deno.FileInfo): string | undefined {
  if (isFile || isDirectory) return undefined;
  return isFifo ? "a pipe" : isSocket ? "a socket" : "a device";
}

const refusal = (path: string, kind: string) => new UserError(`${path}: expected a file, found ${kind}.`);

/** Throws UserError if a path is a pipe, a socket or a device, and the system's error if it does not exist. */
export async function refuseEndless(path: string | URL): Promise<void> {
  const kind = specialKind(await Deno.stat(path));
  if (kind !== undefined) throw refusal(`${path}`, kind);
}

/** The synchronous version of {@link refuseEndless}. */
export function refuseEndlessSync(path: string | URL): void {
  const kind = specialKind(Deno.statSync(path));
  if (kind !== undefined) throw refusal(`${path}`, kind);
}

/** Maximum number of bytes read from a file whose reported size is 0, as in /proc. */
const UNSIZED_BYTES = 2 ** 24;

/**
 * Returns all bytes of a file, up to the size that it had when it was opened, in a buffer with room for one more byte.
 * Throws UserError if the path is a pipe, a socket or a device, or if the file does not fit into memory; rethrows errors of
 * the system unchanged.
 */
export async function readWhole(path: string | URL): Promise<Uint8Array<ArrayBuffer>> {
  await refuseEndless(path);
  using file = await Deno.open(path);
  const { size } = await file.stat();
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array((size || UNSIZED_BYTES) + 1);
  } catch {
    throw new UserError(`${path}: expected a file that fits into memory, found ${showBytes(size)}.`);
  }
  let length = 0;
  while (length < bytes.length - 1) {
    const count = await file.read(bytes.subarray(length, bytes.length - 1));
    if (count === null) break;
    length += count;
  }
  return size === 0 ? bytes.slice(0, length) : bytes.subarray(0, length);
}

/** Reads a file (see {@link readWhole}) and returns it as text; invalid UTF-8 becomes U+FFFD. */
export const readWholeText = async (path: string | URL): Promise<string> =>
  new TextDecoder().decode(await readWhole(path));

/** Returns the sorted names of the entries of a folder; throws the system's error if the folder cannot be read. */
export const namesIn = async (folder: string): Promise<string[]> =>
  (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
