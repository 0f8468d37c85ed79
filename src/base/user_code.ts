// Identifies the code of a user's file by a SHA-256 of the file and of all files that it imports, and by the names of its
// other imports, which the hash does not cover. No user code is run.
import { readWhole } from "./whole_file.ts";
import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { refused, UserError } from "./errors.ts";
import { sha256Hex } from "./hash.ts";
import { importsOf, localFile } from "./import_specifiers.ts";
import { isHeed, namesHeed } from "./running_heed.ts";

/** Identifies the code of a file: its hash, and the imports that the hash does not cover. */
export interface UserCode {
  /**
   * A SHA-256 in hexadecimal digits. If the file imports no other file, it is the hash of the file's bytes. Otherwise it is
   * the hash of a list of the file and of all files that it imports, directly or indirectly. Each line of the list has the
   * hash of a file and its path relative to the folder of the first file.
   */
  readonly sha256: string;
  /** Imports that are not files: `npm:`, `jsr:` and `https:` modules, and imports that are only known at run time. */
  readonly elsewhere: readonly string[];
}

async function readImported(url: string): Promise<Uint8Array | undefined> {
  try {
    return await readWhole(fileURLToPath(url));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || error instanceof UserError) throw error;
    return undefined;
  }
}

/** Returns the imports in a file's text; a data file has no imports. */
function importsIn(url: string, bytes: Uint8Array): ReturnType<typeof importsOf> {
  if (/\.[cm]?[jt]sx?$/i.test(url)) return importsOf(new TextDecoder().decode(bytes));
  return { specifiers: [], open: /\.wasm$/i.test(url) ? ["WebAssembly"] : [] };
}

/** Reads the code of a file without running it or including heed's modules; throws UserError if it cannot be read. */
export async function readCode(file: string): Promise<UserCode> {
  const entry = pathToFileURL(resolve(file)).href;
  const elsewhere = new Set<string>();
  const hashes = new Map<string, string>();
  const waiting = [entry];
  for (let url = waiting.pop(); url !== undefined; url = waiting.pop()) {
    if (hashes.has(url)) continue;
    const bytes = url === entry ? await readWhole(file).catch(refused(file)) : await readImported(url);
    hashes.set(url, bytes ? sha256Hex(bytes) : "absent");
    if (!bytes) continue;
    const { specifiers, open } = importsIn(url, bytes);
    for (const what of open) elsewhere.add(url === entry ? what : `${what} of ${pathFrom(entry, url)}`);
    for (const specifier of specifiers) {
      if (namesHeed(specifier)) continue;
      const local = localFile(specifier, url);
      if (local === undefined) { if (!specifier.startsWith("node:")) elsewhere.add(specifier); }
      else if (!isHeed(local)) waiting.push(local);
    }
  }
  const names = [...elsewhere].sort();
  if (hashes.size === 1) return { sha256: hashes.get(entry)!, elsewhere: names };
  const path = (url: string) => url === entry ? "." : pathFrom(entry, url);
  const lines = Array.from(hashes, ([url, hash]) => `${hash}  ${path(url)}\n`);
  return { sha256: sha256Hex(`heed code 1\n${lines.sort().join("")}`), elsewhere: names };
}

/** Returns the path of the file `url` relative to the folder of the file `entry`, with slashes on every system. */
function pathFrom(entry: string, url: string): string {
  return relative(dirname(fileURLToPath(entry)), fileURLToPath(url)).split(sep).join("/");
}
