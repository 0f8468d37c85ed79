// What a clone without Git LFS, or a page that shows files, gives in place of a large file.
import { UserError } from "../base/errors.ts";
import { showBytes } from "../base/units.ts";

/** A pointer is shorter than this, by its specification. */
const LONGEST = 1024;

/** Throws UserError where a file's bytes are a Git LFS pointer. */
export function refuseLfsPointer(bytes: Uint8Array, path: string): void {
  if (bytes.length >= LONGEST) return;
  const text = new TextDecoder().decode(bytes);
  if (!/^version https:\/\/git-lfs\.github\.com\/spec\/v\d+\s/.test(text)) return;
  const size = /^size (\d+)$/m.exec(text)?.[1];
  const own = size === undefined ? "the file" : `the file of ${showBytes(Number(size))}`;
  throw new UserError(
    `${path}: a Git LFS pointer, not ${own} that it stands for; fetch that by git lfs pull, or download it.`,
  );
}
