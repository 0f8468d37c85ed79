// The folder of a run on disk: its creation, its pointers, and atomic writes of files and checkpoints, which are written under
// a temporary name, synced and renamed. Runs are found by resolve_run.ts.

import { basename, dirname, extname, isAbsolute, join, normalize, sep } from "node:path";
import { fileError, refused, UserError } from "../base/errors.ts";
import { namesIn as sortedNames } from "../base/whole_file.ts";

/** Paths of a run.
 * @category Runs */
export interface RunFolder {
  /** The folder, `runs/<name>/<time>-<id>`. */
  path: string;
  /** The run's name. */
  name: string;
  /** The path of `config.yaml`, which has the resolved configuration. */
  config: string;
  /** The path of the log, `log.ndjson`. */
  log: string;
  /** The folder of charts. */
  charts: string;
  /** The folder of checkpoints: one folder `<step>` per checkpoint, and the pointers `best` and `last`. */
  checkpoints: string;
}

/**
 * The names of pointers to another folder. A pointer is a symbolic link, or a text file that contains the relative path of the
 * folder.
 */
export const POINTERS: readonly string[] = ["latest", "best", "last"];

/** Matches the path of a sweep's folder, `<name>-sweep-<id>`. */
export const SWEEP_FOLDER = /[^/\\]-sweep-[0-9a-f]{8}$/;

/** Returns the paths of the run in the folder `path`, without reading the file system. */
export function runFolder(path: string): RunFolder {
  return {
    path,
    name: basename(dirname(path)),
    config: join(path, "config.yaml"),
    log: join(path, "log.ndjson"),
    charts: join(path, "charts"),
    checkpoints: join(path, "checkpoints"),
  };
}

/**
 * Creates a folder and its missing parents.
 *
 * @throws UserError with the path and the system's reason if the folder cannot be created, for example because a file has that
 * path
 *
 * @example
 * ```ts
 * import { makeFolder } from "./run_folder.ts";
 * await makeFolder("charts");
 * ```
 * @category Runs
 */
export async function makeFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true }).catch(refused(path));
  await syncFolder(dirname(path));
}

/** Removes a file or folder, if it exists. */
export const removeQuietly = (path: string): Promise<void> =>
  Deno.remove(path, { recursive: true }).catch(() => {});

export async function writeSynced(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  await file.sync();
}

/** Syncs a folder, so that new and renamed entries survive a power failure; Windows cannot sync folders. */
export async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path, { read: true });
    await folder.sync();
  } catch { /* The rename is still valid. */ }
}

let temporaryNames = 0;

/** Returns an unused path in the same folder as `path`. */
const temporaryName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${Deno.pid}-${temporaryNames++}.tmp`);

/**
 * Calls `write` with a temporary path, then renames the temporary file to `path`. If that fails, the temporary file is removed.
 */
async function replace(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await write(temporary);
    await Deno.rename(temporary, path);
  } catch (error) {
    await removeQuietly(temporary);
    throw fileError(path, error);
  }
  await syncFolder(dirname(path));
}

/**
 * Writes a file atomically: the file is written under a temporary name in the same folder, synced, and then renamed to `path`.
 *
 * @throws UserError with the path and the system's reason; the temporary file is removed, and an existing file at `path` is
 * unchanged
 *
 * @example
 * ```ts
 * import { writeFileAtomic } from "./run_folder.ts";
 * await writeFileAtomic("chart.svg", "<svg/>");
 * ```
 * @category Runs
 */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  await replace(path, (temporary) => writeSynced(temporary, content));
}

/**
 * Checks that `writeFileAtomic` can write to a path, so that long work does not fail at its end.
 *
 * @throws {UserError} with the path and the system's reason, or if the path is a folder
 *
 * @example
 * ```ts
 * import { checkWritable } from "./run_folder.ts";
 * await checkWritable("chart.svg");
 * ```
 * @category Runs
 */
export async function checkWritable(path: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    if (await isFolder(path)) {
      throw new UserError(`${path}: found a folder, expected a file to write.`);
    }
    await Deno.writeFile(temporary, new Uint8Array());
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await removeQuietly(temporary);
  }
}

/**
 * Creates a symbolic link and returns true. Returns false if that fails, or if the permissions for the whole file system, which a
 * link needs, are missing.
 */
async function symlink(target: string, path: string): Promise<boolean> {
  for (const name of ["read", "write"] as const) {
    if ((await Deno.permissions.query({ name })).state !== "granted") return false;
  }
  try {
    await Deno.symlink(target, path, { type: "dir" });
    return true;
  } catch {
    return false;
  }
}

/**
 * Returns `path` (for example `plot.svg`) if nothing exists there, otherwise the first of the paths `plot-2.svg`, `plot-3.svg`,
 * ... at which nothing exists. It is used for files that the user did not name, so that no file is overwritten.
 *
 * @example
 * ```ts
 * import { freePath } from "./run_folder.ts";
 * console.log(await freePath("plot.svg"));
 * ```
 * @category Runs
 */
export async function freePath(path: string): Promise<string> {
  const end = extname(path);
  for (let n = 1;; n++) {
    const name = n === 1 ? path : `${path.slice(0, path.length - end.length)}-${n}${end}`;
    if (!await stat(name)) return name;
  }
}

/** @internal Atomically makes `path` a pointer to the folder `target`, which is relative to the folder of `path`. */
export async function swapPointer(path: string, target: string): Promise<void> {
  await replace(path, async (temporary) => {
    if (!await symlink(target, temporary)) await writeSynced(temporary, target + "\n");
  });
}

/**
 * Creates the folder of a new run, `<dir>/<name>/<yyyymmdd-hhmmss>-<id>` (UTC) with `charts/` and `checkpoints/`.
 *
 * @param name the run's name: any file name that does not start with a dot, except `latest`, `best` and `last`
 * @param id distinguishes runs that start in the same second
 * @param files contents of the initial files, keyed by file name
 * @throws UserError if the name is not valid for a folder, the run exists or the file system fails; a folder that was created
 * is removed
 *
 * @example
 * ```ts
 * import { createRunFolder } from "./run_folder.ts";
 * const run = await createRunFolder("runs", "small", new Date(), "1f");
 * ```
 * @category Runs
 */
export async function createRunFolder(
  dir: string,
  name: string,
  now: Date,
  id: string,
  files: Readonly<Record<string, Uint8Array | string>> = {},
): Promise<RunFolder> {
  // deno-lint-ignore no-control-regex
  if (!/^[^./\\<>:"|?*\x00-\x1f][^/\\<>:"|?*\x00-\x1f]*$/.test(name) || POINTERS.includes(name)) {
    throw new UserError(
      `name: ${JSON.stringify(name)} cannot be the name of a folder of runs, expected letters, digits, ` +
        `"-", "_", "=", "," or "." after the first, and not one of ${POINTERS.join(", ")}.`,
    );
  }
  const time = now.toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  const run = runFolder(join(dir, name, `${time}-${id}`));
  const created = Deno.mkdir(dirname(run.path), { recursive: true }).then(() => Deno.mkdir(run.path));
  await created.catch(refused(run.path));
  try {
    await Deno.mkdir(run.charts);
    await Deno.mkdir(run.checkpoints);
    for (const [file, content] of Object.entries(files)) await writeFileAtomic(join(run.path, file), content);
    for (const folder of [run.path, dirname(run.path), dir]) await syncFolder(folder);
  } catch (error) {
    await removeQuietly(run.path);
    throw fileError(run.path, error);
  }
  return run;
}

/**
 * Writes the checkpoint of a step atomically and returns its path: its files are written to the folder `checkpoints/.<step>.tmp`
 * and synced, and this folder is then renamed to `checkpoints/<step>`. It replaces a checkpoint of the same step, which exists if
 * the run was resumed from an earlier step. Unfinished files of earlier processes in `checkpoints/` are removed first. Throws
 * UserError with the system's reason, such as a full disk.
 */
export async function writeCheckpoint(
  run: RunFolder,
  step: number,
  files: Record<string, Uint8Array | string>,
): Promise<string> {
  const path = join(run.checkpoints, String(step));
  const temporary = join(run.checkpoints, `.${step}.tmp`);
  const replaced = join(run.checkpoints, `.${step}.old.tmp`);
  for (const name of await namesIn(run.checkpoints)) {
    if (/^\..*\.tmp$/.test(name)) await removeQuietly(join(run.checkpoints, name));
  }
  try {
    await Deno.mkdir(temporary);
    for (const [name, content] of Object.entries(files)) await writeSynced(join(temporary, name), content);
    await syncFolder(temporary);
    if (await stat(path)) await Deno.rename(path, replaced);
    await Deno.rename(temporary, path);
  } catch (error) {
    await removeQuietly(temporary);
    throw fileError(path, error);
  }
  await syncFolder(run.checkpoints);
  await removeQuietly(replaced);
  return path;
}

/**
 * Points `checkpoints/best` or `checkpoints/last` atomically at a step's checkpoint; throws Error if there is no such checkpoint.
 */
export async function pointTo(run: RunFolder, which: "best" | "last", step: number): Promise<void> {
  if (!await stat(join(run.checkpoints, String(step)))) {
    throw new Error(`There is no checkpoint of step ${step}.`);
  }
  await swapPointer(join(run.checkpoints, which), String(step));
}

/** Atomically removes a step's checkpoint if it exists; throws Error if `best` or `last` points at it. */
export async function removeCheckpoint(run: RunFolder, step: number): Promise<void> {
  const path = join(run.checkpoints, String(step));
  for (const which of ["best", "last"]) {
    if (await follow(join(run.checkpoints, which)) === path) {
      throw new Error(`"${which}" points at step ${step}.`);
    }
  }
  if (!await stat(path)) return;
  const temporary = join(run.checkpoints, `.${step}.tmp`);
  try {
    await removeQuietly(temporary);
    await Deno.rename(path, temporary);
    await Deno.remove(temporary, { recursive: true });
  } catch (error) {
    throw fileError(path, error);
  }
}

function nullIfMissing(path: string, info: Promise<Deno.FileInfo>): Promise<Deno.FileInfo | null> {
  return info.catch((error) => {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw fileError(path, error);
  });
}

/** Returns the file information for a path, following links, or null if the path does not exist. */
export const stat = (path: string): Promise<Deno.FileInfo | null> => nullIfMissing(path, Deno.stat(path));

/** True if a path exists; a dangling link counts as existing. */
export const exists = async (path: string): Promise<boolean> =>
  await nullIfMissing(path, Deno.lstat(path)) !== null;

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path))?.isDirectory ?? false;
}

/** Returns the sorted names in a folder, or an empty list if the folder cannot be read. */
export const namesIn = (path: string): Promise<string[]> => sortedNames(path).catch(() => []);

/** Returns the path at which a pointer (a link or a text file) points, or undefined if the pointer cannot be read. */
export async function targetOf(pointer: string): Promise<string | undefined> {
  try {
    const { isSymlink, isFile } = await Deno.lstat(pointer);
    if (!isSymlink && !isFile) return undefined;
    const target = isSymlink ? await Deno.readLink(pointer) : (await Deno.readTextFile(pointer)).trim();
    return isAbsolute(target) ? target : join(dirname(pointer), target);
  } catch { /* Missing targets are reported by the caller. */ }
}

/** Returns a path in which the target of each pointer `latest`, `best` or `last` replaces the pointer. */
export async function follow(path: string): Promise<string> {
  const parts = normalize(path).split(sep);
  let at = "";
  for (const [i, part] of parts.entries()) {
    at = i === 0 ? part || sep : join(at, part);
    if (POINTERS.includes(part)) at = await targetOf(at) ?? at;
  }
  return at;
}

/** Returns the steps of a run's checkpoints in ascending order. */
export async function checkpointSteps(run: RunFolder): Promise<number[]> {
  const names = await namesIn(run.checkpoints);
  return names.filter((name) => /^\d+$/.test(name)).map(Number).sort((a, b) => a - b);
}
