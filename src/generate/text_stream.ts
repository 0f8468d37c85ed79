// A text that grows token by token, given on in pieces that no later token changes: a character whose bytes are not all
// there and what may be the beginning of a stop text wait.
import { textBehind, type Tokenizer } from "../data/mod.ts";
import { minimum } from "../base/extremes.ts";
import { commonStart } from "../base/glob.ts";

/** What is added to a prompt, as text. */
export function continuationOf(
  tokenizer: Tokenizer,
  before: string,
  start: readonly number[],
  added: readonly number[],
): string {
  const whole = tokenizer.decode([...start, ...added]);
  return whole.startsWith(before) ? whole.slice(before.length) : textBehind(tokenizer, start.at(-1), added);
}

/** The text up to the first stop text in it. */
export function beforeStop(text: string, stop: readonly string[]): string {
  const ends = stop.map((own) => text.indexOf(own)).filter((at) => at >= 0);
  return ends.length > 0 ? text.slice(0, minimum(ends)) : text;
}

/** Parts of characters: bytes whose others have not come, and half a surrogate pair. */
const UNFINISHED = /[\ud800-\udbff\ufffd]+$/;

/** What of a text stays whatever is added to it: it ends in no part of a character and in no beginning of a stop text. */
function certainPart(text: string, stop: readonly string[]): string {
  const cut = beforeStop(text, stop);
  if (cut.length < text.length) return cut;
  const ended = text.replace(UNFINISHED, "");
  let held = 0;
  for (const own of stop) {
    for (let length = Math.min(own.length - 1, ended.length); length > held; length--) {
      if (ended.endsWith(own.slice(0, length))) held = length;
    }
  }
  return ended.slice(0, ended.length - held);
}

/**
 * Ids by which a text may go on and change what its last tokens decode to, one of each way: a byte that breaks the run of bytes
 * before it makes U+FFFD of all of them where the decoder falls back to bytes, as Llama's does, and BPEDecoder has no space
 * behind the last token.
 */
function changingIds(tokenizer: Tokenizer): number[] {
  const file = tokenizer.toJSON();
  const whole = file.kind === "cropped" ? file.of : file;
  if (whole.kind !== "huggingface") return [];
  const decoder = JSON.stringify((whole.tokenizer as { decoder?: unknown }).decoder ?? null);
  if (!/"(ByteFallback|BPEDecoder)"/.test(decoder)) return [];
  const ids = Array.from({ length: tokenizer.size }, (_, id) => id)
    .filter((id) => tokenizer.hasToken?.(id) !== false);
  const letters = ids.filter((id) => tokenizer.decode([id]) === "a");
  const breaking = ids.find((id) =>
    tokenizer.decode([id]) === "\ufffd" && letters.some((a) => tokenizer.decode([a, id]) === "\ufffd\ufffd")
  );
  return [letters[0] ?? ids[0], breaking].filter((id) => id !== undefined);
}

/** Decoding takes at most this share of the time: of a long text several tokens come together. */
const DECODING_SHARE = 0.1;

/**
 * Streams texts of one tokenizer: of each the pieces together are the prompt, as the tokenizer has it, and the continuation up
 * to a stop text. Begins a text with the prompt's ids; `take` is called with the next piece, and with the last one, which
 * alone may be empty, as such. Decoding may take a `share` of the time.
 */
export function textStreams(tokenizer: Tokenizer, stop: readonly string[], share = DECODING_SHARE) {
  const changing = changingIds(tokenizer);
  return (start: readonly number[], take: (piece: string, last: boolean) => void) => {
    const before = tokenizer.decode(start);
    let given: string | undefined;
    let next = 0;
    const give = (certain: string, last: boolean) => {
      const piece = given === undefined ? before + certain : certain.slice(given.length);
      given = certain;
      if (piece !== "" || last) take(piece, last);
    };
    return {
      /** Gives on what is certain of the tokens added so far. */
      grown(added: readonly number[]): void {
        const began = performance.now();
        if (began < next) return;
        const textOf = (ids: readonly number[]) => continuationOf(tokenizer, before, start, ids);
        const kept = changing.reduce(
          (text, id) => text.slice(0, commonStart(text, textOf([...added, id]))),
          textOf(added),
        );
        const certain = certainPart(kept, stop);
        if (certain.startsWith(given ?? "")) give(certain, false);
        const now = performance.now();
        next = now + (now - began) / share;
      },
      /** Gives on the rest; where a decoder has taken back what it gave, the text again on a line of its own. */
      end(continuation: string): void {
        if (continuation.startsWith(given ?? "")) give(continuation, true);
        else take(`\n${before}${continuation}`, true);
      },
    };
  };
}
