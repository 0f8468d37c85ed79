// The folder of a run on disk: how it is made and pointed at, and how files and checkpoints come to stand in it whole or
// not at all: everything is written under a temporary name, synced and renamed. Found again it is in resolve_run.ts.

import { basename, dirname, extname, isAbsolute, join, normalize, sep } from "node:path";
import { fileError, refused, UserError } from "../base/errors.ts";
import { namesIn as sortedNames } from "../base/whole_file.ts";

/** Where the parts of a run stand.
 * @category Runs */
export interface RunFolder {
  /** The folder itself, `runs/<name>/<time>-<id>`. */
  path: string;
  /** The run's name. */
  name: string;
  /** `config.yaml`, the resolved configuration. */
  config: string;
  /** `log.ndjson`. */
  log: string;
  /** The folder of charts. */
  charts: string;
  /** The folder of checkpoints: `<step>` each, `best` and `last` pointing at two of them. */
  checkpoints: string;
}

/** Names that stand for another folder, by a symbolic link or by a text file that holds the relative path. */
export const POINTERS: readonly string[] = ["latest", "best", "last"];

/** The end of the path of a sweep's folder, `<name>-sweep-<id>`, among those of runs. */
export const SWEEP_FOLDER = /[^/\\]-sweep-[0-9a-f]{8}$/;

/** The parts of the run whose folder is `path`; nothing is read. */
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
 * Makes a folder, and those above it, where they are missing.
 *
 * @throws UserError with the path and the system's reason where it refuses, or a file stands there
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

/** Removes a file or folder that may not be there. */
export const removeQuietly = (path: string): Promise<void> =>
  Deno.remove(path, { recursive: true }).catch(() => {});

export async function writeSynced(path: string, content: Uint8Array | string): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  await file.sync();
}

/** Makes what is new or renamed in a folder outlast a power cut, where the system can sync folders (Windows cannot). */
export async function syncFolder(path: string): Promise<void> {
  try {
    using folder = await Deno.open(path, { read: true });
    await folder.sync();
  } catch { /* The rename stands all the same. */ }
}

let temporaryNames = 0;

/** A name in the folder of a path that nothing has. */
const temporaryName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${Deno.pid}-${temporaryNames++}.tmp`);

/** Lets `write` make a temporary file and renames it to `path`; what fails leaves nothing. */
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
 * Writes a file whole or not at all: to a temporary name in the same folder, synced, renamed over `path`.
 *
 * @throws UserError with the path and the system's reason; the temporary file is gone then and what stood at `path` is
 * as it was
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
 * Throws where `writeFileAtomic` would, for who has long work to do before there is something to write.
 *
 * @throws {UserError} with the path and the system's reason
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
      throw new UserError(`${path}: a folder stands there, expected a file to write.`);
    }
    await Deno.writeFile(temporary, new Uint8Array());
  } catch (error) {
    throw fileError(path, error);
  } finally {
    await removeQuietly(temporary);
  }
}

/** A symbolic link asks for the whole file system's permissions; asking for them must not prompt. */
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
 * The path, or where something stands there already the first of `plot-2.svg`, `plot-3.svg`, ... that is free: where a file
 * goes that nobody named, so that it replaces none.
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

/** @internal Makes `path` stand for the folder at `target`, relative to its own, in one rename. */
export async function swapPointer(path: string, target: string): Promise<void> {
  await replace(path, async (temporary) => {
    if (!await symlink(target, temporary)) await writeSynced(temporary, target + "\n");
  });
}

/**
 * Makes the folder of a new run, `<dir>/<name>/<yyyymmdd-hhmmss>-<id>` (UTC) with `charts/` and `checkpoints/`.
 *
 * @param name the run's name: any file name that does not start with a dot, but not `latest`
 * @param id tells apart runs that start in one second
 * @param files what stands in the folder from the start: file name to content
 * @throws UserError where the name cannot be a folder, the run exists already or the system refuses; a folder that was
 * made is gone then
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
  const made = Deno.mkdir(dirname(run.path), { recursive: true }).then(() => Deno.mkdir(run.path));
  await made.catch(refused(run.path));
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
 * Writes the checkpoint of a step whole or not at all, and returns its path: its files go into `checkpoints/.<step>.tmp`, each
 * synced, and the folder is renamed to `checkpoints/<step>`, in the place of one that a run resumed from before this step
 * wrote. What an earlier process left unfinished in `checkpoints/` is cleared away first. Throws UserError with the system's
 * reason (a full disk).
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

/** Points `checkpoints/best` or `checkpoints/last` at a step's checkpoint, in one rename; throws Error where there is none. */
export async function pointTo(run: RunFolder, which: "best" | "last", step: number): Promise<void> {
  if (!await stat(join(run.checkpoints, String(step)))) {
    throw new Error(`There is no checkpoint of step ${step}.`);
  }
  await swapPointer(join(run.checkpoints, which), String(step));
}

/** Removes a step's checkpoint, if any, in one rename; throws Error where `best` or `last` points at it. */
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

function unlessAbsent(path: string, look: Promise<Deno.FileInfo>): Promise<Deno.FileInfo | null> {
  return look.catch((error) => {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw fileError(path, error);
  });
}

/** What stands at a path, links followed; null where nothing does. */
export const stat = (path: string): Promise<Deno.FileInfo | null> => unlessAbsent(path, Deno.stat(path));

/** Whether something stands at a path, be it a link to nowhere. */
export const exists = async (path: string): Promise<boolean> =>
  await unlessAbsent(path, Deno.lstat(path)) !== null;

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path))?.isDirectory ?? false;
}

/** The names in a folder, sorted; none where it is not there. */
export const namesIn = (path: string): Promise<string[]> => sortedNames(path).catch(() => []);

/** The path that a pointer holds, a link or a text file; undefined where none can be read there. */
export async function targetOf(pointer: string): Promise<string | undefined> {
  try {
    const { isSymlink, isFile } = await Deno.lstat(pointer);
    if (!isSymlink && !isFile) return undefined;
    const target = isSymlink ? await Deno.readLink(pointer) : (await Deno.readTextFile(pointer)).trim();
    return isAbsolute(target) ? target : join(dirname(pointer), target);
  } catch { /* Missing targets are reported by the caller. */ }
}

/** The path with every `latest`, `best` and `last` in it replaced by what it points at, link or text file. */
export async function follow(path: string): Promise<string> {
  const parts = normalize(path).split(sep);
  let at = "";
  for (const [i, part] of parts.entries()) {
    at = i === 0 ? part || sep : join(at, part);
    if (POINTERS.includes(part)) at = await targetOf(at) ?? at;
  }
  return at;
}

/** The steps whose checkpoints stand in a run's folder, ascending. */
export async function checkpointSteps(run: RunFolder): Promise<number[]> {
  const names = await namesIn(run.checkpoints);
  return names.filter((name) => /^\d+$/.test(name)).map(Number).sort((a, b) => a - b);
}
