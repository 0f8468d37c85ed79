// One file from a URL to a path, checked and whole or not at all: a corpus's or a model's.
import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { reportProgress } from "../base/progress.ts";

/** What a file must be. */
export interface FileProof {
  /** Its size. */
  readonly bytes?: number;
  /** Its SHA-256, in lower-case hexadecimal. */
  readonly sha256?: string;
  /** Where that SHA-256 was recorded, for messages; undefined where it is heed's own. */
  readonly recorded?: string;
}

/** How a file is fetched. */
export interface DownloadOptions {
  /** Called as bytes come: the file, how many so far, and how many in all where that is known. Default: `reportProgress`. */
  readonly progress?: (file: string, bytes: number, total: number | undefined) => void;
  /** How a URL is fetched; tests give their own. */
  readonly fetch?: (url: string, init: { redirect: "manual" }) => Promise<Response>;
}

/** Without a byte for so long, a download has failed. */
const SILENCE_MS = 30_000;

function report(file: string, done: number, total: number | undefined): void {
  reportProgress({ what: `downloading ${file}`, done, total, bytes: true });
}

/** "12 bytes, expected 13", or undefined where a file is as it must be. */
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

/** What a server sends that wants a login, an agreement or a look at a folder first. */
export const HTML_PAGE = "it is an HTML page, not the file";

/** Bytes of a file by which an HTML page is recognised. */
const HEAD_BYTES = 256;

export function isHtmlPage(bytes: Uint8Array): boolean {
  const start = new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES)).trimStart();
  return /^<(!doctype\s+html|html)\b/i.test(start);
}

/**
 * Follows redirects by hand: what Hugging Face's hub states of a large file stands in its own answer,
 * not in the store's.
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
    // Of what was compressed on its way the length is another: what is known of a file counts before it.
    return { body: response.body, proof, total: proof.bytes ?? (length > 0 ? length : undefined) };
  }
  throw new Error("too many redirects");
}

/** The next part of a stream, or an error where none comes. */
async function nextPart(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no byte for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Downloads a file under a name of its own, checks it and renames it; what fails leaves nothing. An HTML page is refused.
 *
 * @returns the file's SHA-256, in lower-case hexadecimal
 * @throws {Error} saying why, for the caller to say what can be done
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
