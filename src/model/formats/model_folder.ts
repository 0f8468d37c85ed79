// A folder of files that is there whole or not at all, and files of a folder that somebody else has made.
import { readWhole } from "../../base/whole_file.ts";
import { basename, dirname, join, resolve } from "node:path";
import { refuseLfsPointer } from "../../data/lfs_pointer.ts";
import { fileError, UserError } from "../../base/errors.ts";
import { jsonOfBytes } from "../../base/json.ts";
import { reportProgress } from "../../base/progress.ts";
import { exists, removeQuietly, syncFolder, writeSynced } from "../../runs/run_folder.ts";

/** Throws where a folder cannot be made because something is there. */
export async function checkFree(path: string): Promise<void> {
  if (await exists(path)) {
    throw new UserError(`${path}: exists already; name another folder, or remove it first.`);
  }
}

/** Writes a new folder, whole or not at all; throws UserError where the path exists or the system refuses. */
export async function createFolder(
  path: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  await checkFree(path);
  const whole = resolve(path);
  const temporary = join(dirname(whole), `.${basename(whole)}.${Deno.pid}.tmp`);
  try {
    await Deno.mkdir(dirname(whole), { recursive: true });
    await removeQuietly(temporary);
    await Deno.mkdir(temporary);
    for (const [name, content] of Object.entries(files)) {
      reportProgress({ what: `writing ${name}` });
      await writeSynced(join(temporary, name), content);
    }
    await syncFolder(temporary);
    await Deno.rename(temporary, whole);
  } catch (error) {
    await removeQuietly(temporary);
    throw fileError(path, error);
  }
  await syncFolder(dirname(whole));
}

/** The bytes of a file, or undefined where there is none of that name; throws UserError at a Git LFS pointer. */
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
