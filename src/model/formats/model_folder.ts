// Creates a folder of files atomically, and reads files of a folder that other tools may have written.
import { readWhole } from "../../base/whole_file.ts";
import { basename, dirname, join, resolve } from "node:path";
import { refuseLfsPointer } from "../../data/lfs_pointer.ts";
import { fileError, UserError } from "../../base/errors.ts";
import { jsonOfBytes } from "../../base/json.ts";
import { reportProgress } from "../../base/progress.ts";
import { exists, removeQuietly, syncFolder, writeSynced } from "../../runs/run_folder.ts";

/** Throws UserError if the path exists. */
export async function checkFree(path: string): Promise<void> {
  if (await exists(path)) {
    throw new UserError(`${path}: exists already; name another folder, or remove it first.`);
  }
}

/** Creates a folder with its files atomically; throws UserError if the path exists or the file system fails. */
export async function createFolder(
  path: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  await checkFree(path);
  const target = resolve(path);
  const temporary = join(dirname(target), `.${basename(target)}.${Deno.pid}.tmp`);
  try {
    await Deno.mkdir(dirname(target), { recursive: true });
    await removeQuietly(temporary);
    await Deno.mkdir(temporary);
    for (const [name, content] of Object.entries(files)) {
      reportProgress({ what: `writing ${name}` });
      await writeSynced(join(temporary, name), content);
    }
    await syncFolder(temporary);
    await Deno.rename(temporary, target);
  } catch (error) {
    await removeQuietly(temporary);
    throw fileError(path, error);
  }
  await syncFolder(dirname(target));
}

/** Returns the bytes of a file, or undefined if it does not exist; throws UserError if the file is a Git LFS pointer. */
export async function bytesOf(path: string): Promise<Uint8Array | undefined> {
  reportProgress({ what: `reading ${basename(path)}` });
  const bytes = await readWhole(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError(path, error);
  });
  if (bytes) refuseLfsPointer(bytes, path);
  return bytes ?? undefined;
}

export async function jsonOf(path: string): Promise<unknown> {
  const bytes = await bytesOf(path);
  return bytes && jsonOfBytes(bytes, path);
}
