// Limits the use of a folder to one process at a time by a file lock, which the system releases when the process ends for any
// reason. A training run locks the run's folder, and a sweep locks the sweep's folder.
import { dirname, join } from "node:path";
import { refused, UserError } from "../base/errors.ts";

/**
 * True if the lock file is removed at the end. It is not removed on Windows, where no inode distinguishes the removed file from a
 * new file with the same path.
 */
const REMOVES = Deno.build.os !== "windows";

/** Returns the folders on a path that do not exist, deepest first. */
async function missingFolders(path: string): Promise<string[]> {
  const there = await Deno.stat(path).then(() => true, () => false);
  return there || dirname(path) === path ? [] : [path, ...await missingFolders(dirname(path))];
}

/** Maximum number of attempts to lock the file. An attempt fails if another process removes the file at that moment. */
const TRIES = 100;

/**
 * Opens and locks the file at `path`. Returns undefined if another process holds the lock. If the previous holder of the lock
 * removed the file after it was opened here, a lock on this file excludes nobody, because the next process creates a new file.
 * The lock is then released, and the new file is tried.
 */
async function lockedFile(path: string): Promise<Deno.FsFile | undefined> {
  for (let left = TRIES; left > 0; left--) {
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      const file = await Deno.open(path, { write: true, create: true });
      // File systems without locks, as on some clusters, give no mutual exclusion.
      if (!await file.tryLock(true).catch(() => true)) {
        file.close();
        return undefined;
      }
      if (!REMOVES) return file;
      const opened = await file.stat();
      const there = await Deno.stat(path).catch(() => undefined);
      if (there?.ino === opened.ino && there?.dev === opened.dev) return file;
      file.close();
    } catch (error) {
      // The folder was removed between its creation and opening the file.
      if (!(error instanceof Deno.errors.NotFound) || left === 1) throw error;
    }
  }
  return undefined;
}

/**
 * Locks a folder against other processes until the result is disposed, by a lock on the file `.lock` in it. A missing folder
 * is created. On disposal, the file is removed (except on Windows), and so are folders that were created and are still empty.
 * Throws UserError if another process holds the lock ("another process is WHAT") or the file system fails.
 */
export async function lockFolder(folder: string, what: string): Promise<Disposable> {
  const missing = await missingFolders(folder);
  const path = join(folder, ".lock");
  const file = await lockedFile(path).catch(refused(folder));
  if (!file) throw new UserError(`${folder}: another process is ${what}.`);
  return {
    [Symbol.dispose]() {
      try {
        // The file is removed before the lock is released, because only the holder of the lock may remove the file.
        if (REMOVES) Deno.removeSync(path);
      } catch { /* The file is already removed. */ }
      file.close();
      try {
        for (const empty of missing) Deno.removeSync(empty);
      } catch { /* A folder is not empty. */ }
    },
  };
}
