// One process at a time in a folder: a lock that the system takes back when the process ends, by whatever means. Who
// writes a run holds that of its folder, who runs a sweep that of the sweep's.
import { dirname, join } from "node:path";
import { fileError, UserError } from "../errors.ts";

/** The folders that are not there of those that a path goes through, the deepest first. */
async function missingFolders(path: string): Promise<string[]> {
  const there = await Deno.stat(path).then(() => true, () => false);
  return there || dirname(path) === path ? [] : [path, ...await missingFolders(dirname(path))];
}

/**
 * Keeps other processes out of a folder, made where it is missing, until it is disposed: the file `.lock` in it is locked.
 * A folder that was made and stays empty goes again.
 *
 * @param what what another process would be doing, for the message: "running this sweep"
 * @throws {UserError} where another process holds it, or the system refuses
 *
 * @example
 * ```ts
 * import { lockFolder } from "./lock.ts";
 * using _ = await lockFolder("runs/small", "writing this run");
 * ```
 */
export async function lockFolder(folder: string, what: string): Promise<Disposable> {
  const made = await missingFolders(folder);
  const path = join(folder, ".lock");
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(folder, { recursive: true });
    file = await Deno.open(path, { write: true, create: true });
  } catch (error) {
    throw fileError(folder, error);
  }
  // A file system without locks, as some clusters have, keeps nobody out.
  if (!await file.tryLock(true).catch(() => true)) {
    file.close();
    throw new UserError(`${folder}: another process is ${what}.`);
  }
  return {
    [Symbol.dispose]() {
      try {
        // Before it is let go, so that nobody takes the lock of a file that is about to go.
        Deno.removeSync(path);
      } catch { /* It has gone already. */ }
      file.close();
      try {
        for (const empty of made) Deno.removeSync(empty);
      } catch { /* There is something in it. */ }
    },
  };
}
