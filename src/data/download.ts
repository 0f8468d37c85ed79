// Downloads a file of a corpus or a model to a path. The file is checked before it is renamed to the path, so that no partial
// file is left there.
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { reportProgress } from "../base/progress.ts";

/** The expected size and hash of a file. */
export interface FileProof {
  /** The file's size in bytes. */
  readonly bytes?: number;
  /** The file's SHA-256, in lower-case hexadecimal. */
  readonly sha256?: string;
  /** The file in which the expected SHA-256 was recorded, which messages name; undefined if the SHA-256 is built into heed. */
  readonly recorded?: string;
}

/** How to fetch a file. */
export interface DownloadOptions {
  /**
   * Called as bytes arrive, with the file's name, the number of bytes so far, and the total number if it is known. By default,
   * `reportProgress` is called.
   */
  readonly progress?: (file: string, bytes: number, total: number | undefined) => void;
  /** Fetches a URL; tests replace it. Default: `fetch`. */
  readonly fetch?: (url: string, init: { redirect: "manual" }) => Promise<Response>;
}

/** A download fails if no byte arrives for this number of milliseconds. */
const SILENCE_MS = 30_000;

function report(file: string, done: number, total: number | undefined): void {
  reportProgress({ what: `downloading ${file}`, done, total, bytes: true });
}

/** Returns what is wrong with a file, such as "12 bytes, expected 13", or undefined if its size and hash are as expected. */
export function fault(
  { bytes, sha256, recorded }: FileProof,
  foundBytes: number,
  foundSha256: string,
): string | undefined {
  if (bytes !== undefined && bytes !== foundBytes) return `${foundBytes} bytes, expected ${bytes}`;
  if (sha256 === undefined || sha256 === foundSha256) return undefined;
  const since = recorded === undefined
    ? ""
    : `, recorded at its first use in ${recorded} (remove its line to accept a change)`;
  return `SHA-256 ${foundSha256}, expected ${sha256}${since}`;
}

/**
 * The error message for an HTML page, which a server may send instead of the file to show a login, a licence agreement or a list
 * of files.
 */
export const HTML_PAGE = "it is an HTML page, not the file";

/** Number of leading bytes by which an HTML page is recognised. */
const HEAD_BYTES = 256;

export function isHtmlPage(bytes: Uint8Array): boolean {
  const start = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES)).trimStart();
  return /^<(!doctype\s+html|html)\b/i.test(start);
}

/**
 * Opens a URL. Redirects are followed manually, because Hugging Face's hub states the size and hash of a large file in its own
 * response headers, and the storage server to which the hub redirects does not state them.
 */
async function open(url: string, get: NonNullable<DownloadOptions["fetch"]>) {
  const proof: { bytes?: number; sha256?: string } = {};
  let at = url;
  for (let hops = 0; hops < 8; hops++) {
    const response = await get(at, { redirect: "manual" });
    const linked = response.headers.get("x-linked-etag")?.replaceAll('"', "");
    if (linked && /^[0-9a-f]{64}$/.test(linked)) proof.sha256 = linked;
    const size = Number(response.headers.get("x-linked-size") ?? NaN);
    if (size > 0) proof.bytes = size;
    const next = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && next) {
      await response.body?.cancel();
      at = new URL(next, at).href;
      continue;
    }
    if (!response.ok || !response.body) {
      await response.body?.cancel().catch(() => {});
      throw new Error(`HTTP status ${response.status}`);
    }
    if (/^\s*text\/html\b/i.test(response.headers.get("content-type") ?? "")) {
      await response.body.cancel().catch(() => {});
      throw new Error(HTML_PAGE);
    }
    const length = Number(response.headers.get("content-length") ?? NaN);
    // The content length of a compressed response differs from the size of the file, so the size that the hub states takes
    // precedence.
    return { body: response.body, proof, total: proof.bytes ?? (length > 0 ? length : undefined) };
  }
  throw new Error("too many redirects");
}

/** Returns the next chunk of a stream; throws if none arrives for SILENCE_MS. */
async function nextPart(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no data for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Downloads a file under a temporary name, checks it and renames it; a failure leaves no file. HTML pages are refused.
 *
 * @returns the file's SHA-256, in lower-case hexadecimal
 * @throws {Error} with the reason; the caller adds the remedy
 */
export async function download(
  url: string,
  path: string,
  known: FileProof,
  { fetch: get = fetch, progress = report }: DownloadOptions,
): Promise<string> {
  const { body, proof, total } = await open(url, get);
  await Deno.mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${crypto.randomUUID()}.partial`;
  const hash = createHash("sha256");
  const reader = body.getReader();
  const head = new Uint8Array(HEAD_BYTES);
  let bytes = 0;
  try {
    using out = await Deno.open(partial, { write: true, createNew: true });
    for (let part = await nextPart(reader); !part.done; part = await nextPart(reader)) {
      for (let done = 0; done < part.value.length;) done += await out.write(part.value.subarray(done));
      hash.update(part.value);
      if (bytes < HEAD_BYTES) head.set(part.value.subarray(0, HEAD_BYTES - bytes), bytes);
      bytes += part.value.length;
      progress(basename(path), bytes, known.bytes ?? total);
    }
    if (isHtmlPage(head)) throw new Error(HTML_PAGE);
    const sha256 = hash.digest("hex");
    const wrong = fault({ ...proof, ...known }, bytes, sha256);
    if (wrong) throw new Error(`it has ${wrong}`);
    await out.sync();
    await Deno.rename(partial, path);
    return sha256;
  } catch (error) {
    await reader.cancel().catch(() => {});
    await Deno.remove(partial).catch(() => {});
    throw error;
  }
}
