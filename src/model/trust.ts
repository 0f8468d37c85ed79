// Trusted code. A checkpoint may name files with hooks, tasks and modifiers anywhere on disk. These files run only if the
// user has passed files with the same contents to `train`. As in direnv, the hashes are recorded in one file per user.
import type { CodeFile } from "../runs/run_state.ts";
import { readWholeText } from "../base/whole_file.ts";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { Config } from "../config/mod.ts";
import { isMapping } from "../base/show.ts";
import { refused, UserError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { object, text as textKind } from "../log/field_kinds.ts";
import { readCode, type UserCode } from "../base/user_code.ts";
import { importedCode } from "../base/user_file.ts";
import { makeFolder, stat, writeFileAtomic } from "../runs/run_folder.ts";

interface Trusted {
  readonly file: string;
  /** "named": a training run used it; "trust": `--trust` named it, so checkpoints saved with another version may run it too. */
  readonly by: "named" | "trust";
}

type TrustedCode = Readonly<Record<string, Trusted>>;

const entry = object({ file: textKind, by: textKind });

/** The code of a file, with its path. */
export type NamedCode = UserCode & Pick<CodeFile, "file">;

/** Returns the code files that a configuration runs (hooks, tasks, modifiers), without duplicates.
 * @category Models */
export function codeNamed({ hooks, data, model }: Config): string[] {
  const blocks = [model.block, ...model.blocks ?? []];
  const files = [
    hooks.file,
    // If there are texts, tasks are not loaded.
    data.files.length > 0 ? null : data.tasks,
    ...blocks.map((block) => block?.attention?.modifier?.file),
  ];
  return [...new Set(files.filter((file) => typeof file === "string"))];
}

/** Returns the code of a file as this process imported it, or, if the process has not imported it, as it is on disk. */
async function codeAt(file: string): Promise<NamedCode> {
  return { file, ...importedCode(file) ?? await readCode(file) };
}

/** Returns the paths and hashes of the code files that a configuration runs, as a checkpoint records them. */
export async function codeFiles(config: Config): Promise<CodeFile[]> {
  const all = await Promise.all(codeNamed(config).map(codeAt));
  return all.map(({ file, sha256 }) => ({ file, sha256 }));
}

/**
 * Returns the path of trusted.json. The file is in $XDG_DATA_HOME/heed, or if that variable is not set, in
 * ~/.local/share/heed (on Windows in %APPDATA%\heed). Throws UserError if none of these variables is set. Relative folders
 * are ignored, as the XDG specification requires.
 */
export function trustedPath(env: (name: string) => string | undefined, os = Deno.build.os): string {
  const folder = (name: string) => [env(name)].find((path) => path !== undefined && isAbsolute(path));
  const home = folder("HOME");
  const data = folder("XDG_DATA_HOME") ??
    (os === "windows" ? folder("APPDATA") : home && join(home, ".local", "share"));
  if (data !== undefined) return join(data, "heed", "trusted.json");
  const names = os === "windows" ? "XDG_DATA_HOME nor APPDATA" : "XDG_DATA_HOME nor HOME";
  throw new UserError(
    `trusted.json: neither ${names} is the path of a folder; expected one for the list of trusted files.`,
  );
}

async function readTrusted(path: string): Promise<TrustedCode> {
  if (await stat(path) === null) return {};
  const text = await readWholeText(path).catch(refused(path));
  try {
    const { v, trusted } = parseJson(text);
    if (v === 1 && isMapping(trusted) && Object.values(trusted).every(entry.holds)) {
      return trusted as TrustedCode;
    }
  } catch { /* Reported below. */ }
  throw new UserError(
    `${path}: expected {"v": 1, "trusted": {...}}; the file is damaged: remove it and trust files again.`,
  );
}

/**
 * Returns the end of a message, which lists the imports of a file that the file's hash does not cover; empty if there are
 * none.
 */
const importing = ({ elsewhere }: UserCode): string =>
  elsewhere.length ? `; it imports ${elsewhere.join(", ")}` : "";

/** Returns one line with a file's path, its hash, and those of its imports that the hash does not cover.
 * @category Models */
export function codeLine(code: NamedCode): string {
  return `${code.file}, SHA-256 ${code.sha256}${importing(code)}`;
}

/**
 * Records code in trusted.json for later processes; safe to call from several processes at once.
 *
 * @param by "named" for code that a training run uses; "trust" also lets checkpoints that were saved with another version of
 * the code run it
 * @returns the code that was not recorded before
 * @throws {UserError} if a file cannot be read, or trusted.json cannot be written
 *
 * @example
 * ```ts
 * import { trustCode } from "./mod.ts";
 * await Deno.writeTextFile("mine.ts", "export const freeze = () => [];");
 * for (const { file, sha256 } of await trustCode(["mine.ts"], "trust")) console.log(file, sha256);
 * ```
 * @category Models
 */
export async function trustCode(files: readonly string[], by: "named" | "trust"): Promise<NamedCode[]> {
  const codes = await Promise.all(files.map(codeAt));
  if (codes.length === 0) return [];
  const path = trustedPath((name) => Deno.env.get(name));
  const missing = (trusted: TrustedCode) =>
    codes.filter(({ sha256 }) =>
      !Object.hasOwn(trusted, sha256) || by === "trust" && trusted[sha256].by !== by
    );
  if (missing(await readTrusted(path)).length === 0) return [];
  await makeFolder(dirname(path));
  // The lock file is never removed, so that all processes wait for the same one.
  using lock = await Deno.open(`${path}.lock`, { write: true, create: true })
    .catch(refused(`${path}.lock`));
  // File systems without locks, as on some clusters, give no mutual exclusion.
  await lock.lock(true).catch(() => {});
  const before = await readTrusted(path);
  const added = missing(before);
  const entries = added.map(({ sha256, file }): [string, Trusted] => [sha256, { file: resolve(file), by }]);
  const trusted = { ...before, ...Object.fromEntries(entries) };
  await writeFileAtomic(path, `${JSON.stringify({ v: 1, trusted }, null, 2)}\n`);
  return added;
}

/**
 * Returns for each code file that a checkpoint's configuration names: `code`, the file's current code (undefined if the file
 * is missing), and `sealed`, the hash that the checkpoint recorded (undefined for older checkpoints). Runs no user code.
 */
export async function codeStatus(config: Config, sealed: readonly CodeFile[] = []) {
  return await Promise.all(
    codeNamed(config).map(async (file) => ({
      file,
      code: await codeAt(file).catch((error) => {
        if (error instanceof UserError) return undefined;
        throw error;
      }),
      sealed: sealed.find((known) => known.file === file)?.sha256,
    })),
  );
}

/** Quotes a path for a shell. */
const quoted = (file: string): string =>
  /^[\w./@+-]+$/.test(file) ? file : `'${file.replaceAll("'", `'\\''`)}'`;

/**
 * Throws UserError, with the file, its hash and the remedy, if the user does not trust the current code of a checkpoint, or
 * if it differs from the `sealed` code that the checkpoint was saved with and changes are not accepted.
 */
export async function checkCode(
  path: string,
  config: Config,
  sealed: readonly CodeFile[] | undefined,
  acceptChanges = false,
): Promise<void> {
  let trusted: TrustedCode | undefined;
  for (const { file, code, sealed: before } of await codeStatus(config, sealed)) {
    const at = `${path}: its code ${file}`;
    if (code === undefined) {
      const which = before === undefined ? "" : ` (SHA-256 ${before})`;
      throw new UserError(
        `${at}${which} is missing; put it back at this path, relative to ${Deno.cwd()}.`,
      );
    }
    const same = before === undefined || before === code.sha256;
    const runs = importedCode(file) !== undefined;
    // Code that this process has imported was given by the user or is trusted.
    if (runs && (same || acceptChanges)) continue;
    trusted ??= await readTrusted(trustedPath((name) => Deno.env.get(name)));
    const by = Object.hasOwn(trusted, code.sha256) ? trusted[code.sha256].by : undefined;
    if (by === "trust" || by === "named" && (same || acceptChanges)) continue;
    const remedy = `read it, then: deno task train --trust ${quoted(file)}`;
    if (same) {
      throw new UserError(`${at} (SHA-256 ${code.sha256}${importing(code)}) is not trusted; ${remedy}`);
    }
    throw new UserError(
      `${at} has changed: SHA-256 ${code.sha256}, the checkpoint was made with ${before}` +
        `${importing(code)}; put that version back, or ${remedy}`,
    );
  }
}
