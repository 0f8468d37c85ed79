// Long texts are kept as UTF-8 bytes and decoded piece by piece, so that V8's maximum string length does not limit their size.
import { UserError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";

/** A text in UTF-8: for each of its files, in order, the bytes of the file or of the part of the file that is in a split. */
export type TextBytes = readonly Uint8Array<ArrayBuffer>[];

/** A text as one string, or as consecutive pieces that can be iterated more than once. */
export type TextPieces = string | Iterable<string>;

/** V8's maximum string length, in UTF-16 units. */
export const LONGEST_STRING = 2 ** 29 - 24;

export function isEmptyText(text: TextPieces): boolean {
  for (const piece of text) if (piece !== "") return false;
  return true;
}

/** Returns an iterable over what `each` yields. It can be iterated more than once. */
const again = <T>(each: () => Generator<T>): Iterable<T> => ({ [Symbol.iterator]: each });

/** Returns an iterable over the concatenated lists. It can be iterated more than once. */
export const chained = <T>(lists: Iterable<Iterable<T>>): Iterable<T> =>
  again(function* () {
    for (const list of lists) yield* list;
  });

/** Returns an iterable over the pieces of all texts, in order. */
export const piecesOfAll = (texts: Iterable<TextPieces>): Iterable<string> =>
  again(function* () {
    for (const text of texts) yield* typeof text === "string" ? [text] : text;
  });

/**
 * Maximum number of bytes in a piece. It is so large that the overhead per piece is negligible, and small compared with long
 * texts.
 */
const PIECE_BYTES = 2 ** 16;
const [NEWLINE, RETURN] = [0x0a, 0x0d];

/**
 * Returns the end of the piece that starts at `at`. The piece ends after its last newline if it has one, and never inside a
 * character or between CR and LF.
 */
function pieceEnd(bytes: Uint8Array, at: number): number {
  let end = at + PIECE_BYTES;
  if (end >= bytes.length) return bytes.length;
  const newline = bytes.subarray(at, end).lastIndexOf(NEWLINE);
  if (newline >= 0) return at + newline + 1;
  for (let i = 0; i < 3 && (bytes[end] & 0xc0) === 0x80; i++) end--;
  return bytes[end - 1] === RETURN ? end - 1 : end;
}

/** Returns the text as one string, or undefined if the text is too long for a string; throws TypeError at invalid UTF-8. */
export function stringOfText(text: TextBytes): string | undefined {
  let joined = "";
  for (const piece of piecesOfText(text)) {
    if (joined.length + piece.length > LONGEST_STRING) return undefined;
    joined += piece;
  }
  return joined;
}

/**
 * Returns an iterable over the pieces of a text, which can be iterated more than once. The iteration reports progress with the
 * label `what`, and throws TypeError at invalid UTF-8.
 */
export const piecesOfText = (text: TextBytes, what = "reading text"): Iterable<string> =>
  again(function* () {
    const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const total = text.reduce((sum, { length }) => sum + length, 0);
    let before = 0;
    for (const bytes of text) {
      for (let at = 0, end; at < bytes.length; at = end) {
        end = pieceEnd(bytes, at);
        reportProgress({ what, done: before + at, total, bytes: true });
        yield utf8.decode(bytes.subarray(at, end));
      }
      before += bytes.length;
    }
  });

/** Returns the number of UTF-16 units of the character that starts with this byte, or 0 for a continuation byte. */
const unitsAt = (byte: number): number => (byte & 0xc0) === 0x80 ? 0 : byte < 0xf0 ? 1 : 2;

/** Returns the length of a text in UTF-16 units. */
export function unitsOfText(text: TextBytes): number {
  let units = 0;
  for (const bytes of text) for (let i = 0; i < bytes.length; i++) units += unitsAt(bytes[i]);
  return units;
}

type Place = { readonly part: number; readonly at: number };

/** Cuts a text at `count` ascending places. If `places` has fewer entries, the remaining cuts are at the end of the text. */
function cutAt(text: TextBytes, places: readonly Place[], count: number): TextBytes[] {
  let [part, at] = [0, 0];
  return Array.from({ length: count + 1 }, (_, i) => {
    const end: Place = places[i] ?? { part: text.length, at: 0 };
    const cut: Uint8Array<ArrayBuffer>[] = [];
    for (; part < end.part; part++, at = 0) cut.push(text[part].subarray(at));
    if (end.at > at) cut.push(text[part].subarray(at, end.at));
    at = end.at;
    return cut.filter(({ length }) => length > 0);
  });
}

/** Cuts a text at ascending UTF-16 offsets; a character whose surrogate pair would be cut in two goes to the later part. */
export function cutAtUnits(text: TextBytes, units: readonly number[]): TextBytes[] {
  const places: Place[] = [];
  let passed = 0;
  for (let part = 0; part < text.length && places.length < units.length; part++) {
    const bytes = text[part];
    for (let at = 0; at < bytes.length && places.length < units.length; at++) {
      const width = unitsAt(bytes[at]);
      while (width > 0 && places.length < units.length && passed + width > units[places.length]) {
        places.push({ part, at });
      }
      passed += width;
    }
  }
  return cutAt(text, places, units.length);
}

/**
 * Returns the number of lines per sample, which is Infinity for "file"; throws UserError unless `unit` is "file", "line" or "n
 * lines".
 */
export function linesOfSample(unit: string): number {
  if (unit === "file") return Infinity;
  const match = /^(?:line|([1-9]\d*) lines)$/.exec(unit);
  if (match) return Number(match[1] ?? 1);
  throw new UserError(`data.sample: expected file, line or "n lines", found "${unit}".`);
}

/** Returns the number of samples of `lines` lines in a text. The last sample of a file may have fewer lines. */
export function countSamples(text: TextBytes, lines: number): number {
  let samples = 0;
  for (const bytes of text) {
    let newlines = bytes[bytes.length - 1] === NEWLINE ? 0 : 1;
    for (let i = 0; i < bytes.length; i++) if (bytes[i] === NEWLINE) newlines++;
    samples += lines === Infinity ? 1 : Math.ceil(newlines / lines);
  }
  return samples;
}

/** Cuts a text before the samples with these ascending numbers, counted from 0. */
export function cutAtSamples(text: TextBytes, lines: number, samples: readonly number[]): TextBytes[] {
  const places: Place[] = [];
  let passed = 0;
  const pass = (part: number, at: number) => {
    while (places.length < samples.length && passed === samples[places.length]) places.push({ part, at });
    passed++;
  };
  text.forEach((bytes, part) => {
    pass(part, 0);
    let newlines = 0;
    for (let at = 0; lines < Infinity && at < bytes.length - 1; at++) {
      if (bytes[at] === NEWLINE && ++newlines % lines === 0) pass(part, at + 1);
    }
  });
  return cutAt(text, places, samples.length);
}

/**
 * Yields the samples of a file that is given in pieces. Each sample is a list of strings, which together are `lines` lines with
 * their newlines. The last sample may have fewer lines. CR LF becomes LF.
 */
export function* samplesOfPieces(pieces: Iterable<string>, lines: number): Generator<string[]> {
  let parts: string[] = [];
  let newlines = 0;
  for (const piece of pieces) {
    const plain = piece.replaceAll("\r\n", "\n");
    let from = 0;
    for (let end = plain.indexOf("\n") + 1; end > 0; end = plain.indexOf("\n", end) + 1) {
      if (++newlines % lines !== 0) continue;
      parts.push(plain.slice(from, end));
      yield parts;
      [parts, from] = [[], end];
    }
    if (from < plain.length) parts.push(plain.slice(from));
  }
  if (parts.length > 0) yield parts;
}

/**
 * Returns the samples of a text. If `lines` is undefined, the complete text is one sample. `what` is the label of the progress
 * report.
 */
export function samplesOfText(
  text: TextBytes,
  lines: number | undefined,
  what?: string,
): Iterable<Iterable<string>> {
  if (lines === undefined) return [piecesOfText(text, what)];
  return again(function* () {
    for (const bytes of text) {
      const pieces = piecesOfText([bytes], what);
      if (lines === Infinity) yield pieces;
      else yield* samplesOfPieces(pieces, lines);
    }
  });
}
