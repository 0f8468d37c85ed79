// Files that are read whole. A pipe or a device may never end, and opening a pipe waits for whoever writes into it.
import { UserError } from "./errors.ts";
import { showBytes } from "./units.ts";

/** What stands at a path, where it is no file and no folder. */
function strange({ isFile, isDirectory, isFifo, isSocket }: Deno.FileInfo): string | undefined {
  if (isFile || isDirectory) return undefined;
  return isFifo ? "a pipe" : isSocket ? "a socket" : "a device";
}

const refusal = (path: string, found: string) => new UserError(`${path}: expected a file, found ${found}.`);

/** Throws UserError where a path is a pipe, a socket or a device; what is not there is reported where it is opened. */
export async function refuseEndless(path: string | URL): Promise<void> {
  const found = strange(await Deno.stat(path));
  if (found !== undefined) throw refusal(`${path}`, found);
}

/** The same without waiting. */
export function refuseEndlessSync(path: string | URL): void {
  const found = strange(Deno.statSync(path));
  if (found !== undefined) throw refusal(`${path}`, found);
}

/** What a file that names no size, as those of /proc, may have. */
const UNSIZED_BYTES = 2 ** 24;

/**
 * All bytes of a file as long as it is when it is opened, and room for one more behind them in their buffer. Throws UserError
 * where it is a pipe, a socket or a device, or longer than memory; what the system refuses as it is.
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

/** The same as text; what is no UTF-8 becomes U+FFFD. */
export const readWholeText = async (path: string | URL): Promise<string> =>
  new TextDecoder().decode(await readWhole(path));

/** The names in a folder, sorted; throws what the system says where it cannot be read. */
export const namesIn = async (folder: string): Promise<string[]> =>
  (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
