// Token ids as nanoGPT's prepare.py writes them: a .bin file of two bytes for each, the low one first.
import { UserError } from "../base/errors.ts";
import { textSha256 } from "./corpora.ts";
import { rawBytes } from "./files.ts";
import { joinIds, type Numbers } from "./ids.ts";

/** Whether a path names such a file. */
export const isBinary = (path: string): boolean => path.endsWith(".bin");

/** Reads such files: their ids, one after another, and what `textIdentity` needs; throws UserError at any other, and at one that cannot be read, is empty or has half an id. */
export async function loadIds(paths: readonly string[]) {
  const files: Uint8Array<ArrayBuffer>[] = [];
  for (const path of paths) {
    if (!isBinary(path)) {
      throw new UserError(`${path} is no .bin file of ids as the others are; expected files of one kind.`);
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
