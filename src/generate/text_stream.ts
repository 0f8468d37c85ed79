// Streams a growing text in pieces that no later token can change. Incomplete characters, and an end that may be the beginning
// of a stop string, are held back.
import { textBehind, type Tokenizer } from "../data/mod.ts";
import { minimum } from "../base/extremes.ts";
import { commonStart } from "../base/glob.ts";

/** Returns the text that the ids `added` append to `before`, which is the text of the prompt's ids `start`. */
export function continuationOf(
  tokenizer: Tokenizer,
  before: string,
  start: readonly number[],
  added: readonly number[],
): string {
  const text = tokenizer.decode([...start, ...added]);
  return text.startsWith(before) ? text.slice(before.length) : textBehind(tokenizer, start.at(-1), added);
}

/** Returns the part of a text before its first stop string; the whole text if it contains none. */
export function beforeStop(text: string, stop: readonly string[]): string {
  const ends = stop.map((ending) => text.indexOf(ending)).filter((at) => at >= 0);
  return ends.length > 0 ? text.slice(0, minimum(ends)) : text;
}

/** Matches characters at the end of a text that may be incomplete: U+FFFD for missing bytes, or half a surrogate pair. */
const UNFINISHED = /[\ud800-\udbff\ufffd]+$/;

/**
 * Returns the beginning of a text that no continuation can change. An incomplete character or the beginning of a stop string
 * at the text's end is cut off.
 */
function certainPart(text: string, stop: readonly string[]): string {
  const cut = beforeStop(text, stop);
  if (cut.length < text.length) return cut;
  const ended = text.replace(UNFINISHED, "");
  let held = 0;
  for (const ending of stop) {
    for (let length = Math.min(ending.length - 1, ended.length); length > held; length--) {
      if (ended.endsWith(ending.slice(0, length))) held = length;
    }
  }
  return ended.slice(0, ended.length - held);
}

/**
 * Returns ids that, if appended, can change how the tokens before them are decoded: one id for each way in which this can
 * happen. With byte fallback (as in Llama), a byte that makes the bytes before it invalid turns all of them into U+FFFD;
 * BPEDecoder omits the space after the last token.
 */
function changingIds(tokenizer: Tokenizer): number[] {
  const file = tokenizer.toJSON();
  const base = file.kind === "cropped" ? file.of : file;
  if (base.kind !== "huggingface") return [];
  const decoder = JSON.stringify((base.tokenizer as { decoder?: unknown }).decoder ?? null);
  if (!/"(ByteFallback|BPEDecoder)"/.test(decoder)) return [];
  const ids = Array.from({ length: tokenizer.size }, (_, id) => id)
    .filter((id) => tokenizer.hasToken?.(id) !== false);
  const letters = ids.filter((id) => tokenizer.decode([id]) === "a");
  const breaking = ids.find((id) =>
    tokenizer.decode([id]) === "\ufffd" && letters.some((a) => tokenizer.decode([a, id]) === "\ufffd\ufffd")
  );
  return [letters[0] ?? ids[0], breaking].filter((id) => id !== undefined);
}

/**
 * Maximum share of the time, from 0 to 1, that is spent on decoding. For long texts, several tokens are therefore streamed
 * together.
 */
const DECODING_SHARE = 0.1;

/**
 * Streams texts of one tokenizer. The returned function starts a text with the prompt's ids, and calls `take` with each
 * piece; `last` is true for the final piece, the only one that may be empty. The pieces concatenate to the decoded prompt and
 * its continuation up to a stop string. Decoding takes at most about the fraction `share` of the time.
 */
export function textStreams(tokenizer: Tokenizer, stop: readonly string[], share = DECODING_SHARE) {
  const changing = changingIds(tokenizer);
  return (start: readonly number[], take: (piece: string, last: boolean) => void) => {
    const before = tokenizer.decode(start);
    let sent: string | undefined;
    let next = 0;
    const send = (certain: string, last: boolean) => {
      const piece = sent === undefined ? before + certain : certain.slice(sent.length);
      sent = certain;
      if (piece !== "" || last) take(piece, last);
    };
    return {
      /** Streams the part of the text so far that no later token can change. */
      grown(added: readonly number[]): void {
        const began = performance.now();
        if (began < next) return;
        const textOf = (ids: readonly number[]) => continuationOf(tokenizer, before, start, ids);
        const kept = changing.reduce(
          (text, id) => text.slice(0, commonStart(text, textOf([...added, id]))),
          textOf(added),
        );
        const certain = certainPart(kept, stop);
        if (certain.startsWith(sent ?? "")) send(certain, false);
        const now = performance.now();
        next = now + (now - began) / share;
      },
      /**
       * Streams the rest of the text; if the continuation differs from what was already streamed, streams the complete text
       * on a new line.
       */
      end(continuation: string): void {
        if (continuation.startsWith(sent ?? "")) send(continuation, true);
        else take(`\n${before}${continuation}`, true);
      },
    };
  };
}
