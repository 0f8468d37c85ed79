// Detects Git LFS pointers: small text files that a clone without Git LFS contains in place of large files, and that a web page
// may show in place of them.
import { UserError } from "../base/errors.ts";
import { showBytes } from "../base/units.ts";

/** The specification requires pointers to be shorter than this number of bytes. */
const LONGEST = 1024;

/** Throws UserError if a file's bytes are a Git LFS pointer. */
export function refuseLfsPointer(bytes: Uint8Array, path: string): void {
  if (bytes.length >= LONGEST) return;
  const text = new TextDecoder().decode(bytes);
  if (!/^version https:\/\/git-lfs\.github\.com\/spec\/v\d+\s/.test(text)) return;
  const size = /^size (\d+)$/m.exec(text)?.[1];
  const target = size === undefined ? "the file" : `the file of ${showBytes(Number(size))}`;
  throw new UserError(
    `${path}: a Git LFS pointer, not ${target} that it points to; run git lfs pull, or download the file.`,
  );
}
