// Reads token ids from .bin files of little-endian uint16 numbers, as nanoGPT's prepare.py writes them.
import { UserError } from "../base/errors.ts";
import { textSha256 } from "./corpora.ts";
import { rawBytes } from "./files.ts";
import { joinIds, type Numbers } from "./ids.ts";

/** Whether a path ends in .bin. */
export const isBinary = (path: string): boolean => path.endsWith(".bin");

/**
 * Reads .bin files. Returns their concatenated ids, and for `textIdentity` the bytes of each file and the SHA-256 of all bytes.
 * Throws UserError if a file's name does not end in .bin, or the file cannot be read, is empty or has an odd number of bytes.
 */
export async function loadIds(paths: readonly string[]) {
  const files: Uint8Array<ArrayBuffer>[] = [];
  for (const path of paths) {
    if (!isBinary(path)) {
      throw new UserError(`${path} is not a .bin file of ids like the others; expected files of one kind.`);
    }
    const bytes = await rawBytes(path);
    if (bytes.length === 0 || bytes.length % 2 !== 0) {
      throw new UserError(`${path} has ${bytes.length} bytes; expected ids of two bytes each.`);
    }
    files.push(bytes);
  }
  const parts = files.map((bytes) => new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
  const ids: Numbers = parts.length === 1 ? parts[0] : joinIds(parts, 0xffff).ids;
  return { ids, files, sha256: textSha256(files) };
}
