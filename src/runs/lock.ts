// One process at a time in a folder: a lock that the system takes back when the process ends, by whatever means. Who
// writes a run holds that of its folder, who runs a sweep that of the sweep's.
import { dirname, join } from "node:path";
import { refused, UserError } from "../base/errors.ts";

/** Windows has no inodes by which to tell two files of one path apart: there the file stays. */
const REMOVES = Deno.build.os !== "windows";

/** The folders that are not there of those that a path goes through, the deepest first. */
async function missingFolders(path: string): Promise<string[]> {
  const there = await Deno.stat(path).then(() => true, () => false);
  return there || dirname(path) === path ? [] : [path, ...await missingFolders(dirname(path))];
}

/** Tries to lock the file that stands at a path; each that fails is one that another process removed just then. */
const TRIES = 100;

/**
 * Opens and locks the file at `path`; undefined where another process holds it. A file that its holder removed between the
 * two keeps nobody out, for whoever comes next makes another: it is let go, and the one that stands there is tried.
 */
async function lockedFile(path: string): Promise<Deno.FsFile | undefined> {
  for (let left = TRIES; left > 0; left--) {
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      const file = await Deno.open(path, { write: true, create: true });
      // A file system without locks, as some clusters have, keeps nobody out.
      if (!await file.tryLock(true).catch(() => true)) {
        file.close();
        return undefined;
      }
      if (!REMOVES) return file;
      const own = await file.stat();
      const there = await Deno.stat(path).catch(() => undefined);
      if (there?.ino === own.ino && there?.dev === own.dev) return file;
      file.close();
    } catch (error) {
      // The folder went between being made and being opened.
      if (!(error instanceof Deno.errors.NotFound) || left === 1) throw error;
    }
  }
  return undefined;
}

/**
 * Keeps other processes out of a folder, made where it is missing, until it is disposed: the file `.lock` in it is locked.
 * A folder that was made and stays empty goes again, and so does the file, but on Windows. Throws UserError where another
 * process holds it ("another process is WHAT") or the system refuses.
 */
export async function lockFolder(folder: string, what: string): Promise<Disposable> {
  const made = await missingFolders(folder);
  const path = join(folder, ".lock");
  const file = await lockedFile(path).catch(refused(folder));
  if (!file) throw new UserError(`${folder}: another process is ${what}.`);
  return {
    [Symbol.dispose]() {
      try {
        // Before it is let go: who holds the lock removes, and nobody else.
        if (REMOVES) Deno.removeSync(path);
      } catch { /* It has gone already. */ }
      file.close();
      try {
        for (const empty of made) Deno.removeSync(empty);
      } catch { /* There is something in it. */ }
    },
  };
}
