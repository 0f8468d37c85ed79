// Which files of code the user trusts. A checkpoint names hooks, tasks and modifiers anywhere on disk; what it names runs
// only where the user has named the same content in `train`. As direnv does it: by hash, in one file of the user's own.
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
  /** `named` in a training, or by `--trust`: that also lets checkpoints of another version run it. */
  readonly by: "named" | "trust";
}

type TrustedCode = Readonly<Record<string, Trusted>>;

const entry = object({ file: textKind, by: textKind });

/** A file with its code. */
export type NamedCode = UserCode & Pick<CodeFile, "file">;

/** The files of code that a configuration runs: hooks, tasks, modifiers; each once.
 * @category Models */
export function codeNamed({ hooks, data, model }: Config): string[] {
  const blocks = [model.block, ...model.blocks ?? []];
  const files = [
    hooks.file,
    // Texts come first: no task is loaded beside them.
    data.files.length > 0 ? null : data.tasks,
    ...blocks.map((block) => block?.attention?.modifier?.file),
  ];
  return [...new Set(files.filter((file) => typeof file === "string"))];
}

/** The code of a file: what this process runs of it, else what stands there. */
async function codeAt(file: string): Promise<NamedCode> {
  return { file, ...importedCode(file) ?? await readCode(file) };
}

/** The code that a configuration runs, as a checkpoint seals it. */
export async function codeFiles(config: Config): Promise<CodeFile[]> {
  const all = await Promise.all(codeNamed(config).map(codeAt));
  return all.map(({ file, sha256 }) => ({ file, sha256 }));
}

/**
 * The path of trusted.json: in $XDG_DATA_HOME/heed, else ~/.local/share/heed, on Windows %APPDATA%\heed; throws UserError where
 * none of them is given. A relative folder counts for nothing, as the XDG specification has it.
 */
export function trustedPath(env: (name: string) => string | undefined, os = Deno.build.os): string {
  const folder = (name: string) => [env(name)].find((path) => path !== undefined && isAbsolute(path));
  const home = folder("HOME");
  const data = folder("XDG_DATA_HOME") ??
    (os === "windows" ? folder("APPDATA") : home && join(home, ".local", "share"));
  if (data !== undefined) return join(data, "heed", "trusted.json");
  const names = os === "windows" ? "XDG_DATA_HOME nor APPDATA" : "XDG_DATA_HOME nor HOME";
  throw new UserError(
    `trusted.json: neither ${names} is the path of a folder; expected one to remember trusted files in.`,
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

/** What a file imports that its hash does not hold, for a message. */
const importing = ({ elsewhere }: UserCode): string =>
  elsewhere.length ? `; it imports ${elsewhere.join(", ")}` : "";

/** A file and its hash in one line, with what it imports from elsewhere.
 * @category Models */
export function codeLine(code: NamedCode): string {
  return `${code.file}, SHA-256 ${code.sha256}${importing(code)}`;
}

/**
 * Remembers code in trusted.json, for every later process; several may do so at once.
 *
 * @param by `named` for what a training is given, `trust` for what is to run in checkpoints made with another version too
 * @returns the code that was not remembered so before
 * @throws {UserError} where a file cannot be read, or trusted.json not written
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
  // The file of the lock stays, so that all wait for the same one.
  using lock = await Deno.open(`${path}.lock`, { write: true, create: true })
    .catch(refused(`${path}.lock`));
  // A file system without locks, as some clusters have, keeps nobody out.
  await lock.lock(true).catch(() => {});
  const before = await readTrusted(path);
  const added = missing(before);
  const entries = added.map(({ sha256, file }): [string, Trusted] => [sha256, { file: resolve(file), by }]);
  const trusted = { ...before, ...Object.fromEntries(entries) };
  await writeFileAtomic(path, `${JSON.stringify({ v: 1, trusted }, null, 2)}\n`);
  return added;
}

/**
 * How the files of code stand that a checkpoint's configuration names: their code, undefined where it is missing, and the hash
 * that the checkpoint sealed, undefined in older ones. Nothing is run.
 */
export async function codeStandings(config: Config, sealed: readonly CodeFile[] = []) {
  return await Promise.all(
    codeNamed(config).map(async (file) => ({
      file,
      code: await codeAt(file).catch((error) => {
        if (error instanceof UserError) return undefined;
        throw error;
      }),
      sealed: sealed.find((own) => own.file === file)?.sha256,
    })),
  );
}

/** A path as a shell takes it. */
const quoted = (file: string): string =>
  /^[\w./@+-]+$/.test(file) ? file : `'${file.replaceAll("'", `'\\''`)}'`;

/**
 * Throws UserError, with the file, its hash and the remedy, where the user has not trusted the code of a checkpoint as it
 * stands, or it is not the `sealed` that the checkpoint was made with and changes are not accepted.
 */
export async function checkCode(
  path: string,
  config: Config,
  sealed: readonly CodeFile[] | undefined,
  acceptChanges = false,
): Promise<void> {
  let trusted: TrustedCode | undefined;
  for (const { file, code, sealed: before } of await codeStandings(config, sealed)) {
    const own = `${path}: its code ${file}`;
    if (code === undefined) {
      const which = before === undefined ? "" : ` (SHA-256 ${before})`;
      throw new UserError(`${own}${which} is missing; expected it there, from ${Deno.cwd()}: put it back.`);
    }
    const same = before === undefined || before === code.sha256;
    const runs = importedCode(file) !== undefined;
    // What this process runs already was named or trusted.
    if (runs && (same || acceptChanges)) continue;
    trusted ??= await readTrusted(trustedPath((name) => Deno.env.get(name)));
    const by = Object.hasOwn(trusted, code.sha256) ? trusted[code.sha256].by : undefined;
    if (by === "trust" || by === "named" && (same || acceptChanges)) continue;
    const remedy = `read it, then: deno task train --trust ${quoted(file)}`;
    if (same) {
      throw new UserError(`${own} (SHA-256 ${code.sha256}${importing(code)}) is not trusted; ${remedy}`);
    }
    throw new UserError(
      `${own} has changed: SHA-256 ${code.sha256}, the checkpoint was made with ${before}` +
        `${importing(code)}; put that version back, or ${remedy}`,
    );
  }
}
