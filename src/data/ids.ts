// Token ids of long texts. A text is encoded part by part, and each id is stored in 1, 2 or 4 bytes, depending on the largest
// possible id.
import { UserError } from "../base/errors.ts";
import { LONGEST_STRING, type TextPieces } from "./text_bytes.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** An array of non-negative integers (token ids or positions). Its type depends on the largest possible integer. */
export type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** A growable list of numbers. */
export type NumberList = ReturnType<typeof numberList>;

/**
 * Returns an empty list for integers from 0 to `most`. It reserves memory for `capacity` integers, which becomes resident only
 * when it is used.
 */
export function numberList(most: number, capacity: number) {
  const Narrow = most <= 0xff
    ? Uint8Array
    : most <= 0xffff
    ? Uint16Array
    : most <= 0xffffffff
    ? Uint32Array
    : Float64Array;
  let all: Numbers = new Narrow(Math.max(16, capacity));
  let length = 0;
  const grow = (needed: number) => {
    if (needed <= all.length) return;
    const larger = new Narrow(Math.max(needed, 2 * all.length));
    larger.set(all);
    all = larger;
  };
  return {
    get length() {
      return length;
    },
    at: (index: number): number => all[index],
    set: (index: number, number: number) => void (all[index] = number),
    push(number: number): void {
      grow(length + 1);
      all[length++] = number;
    },
    /** Appends all of `numbers`. */
    add(numbers: ArrayLike<number>): void {
      grow(length + numbers.length);
      all.set(numbers, length);
      length += numbers.length;
    },
    /** Returns a view of all numbers in the list. */
    all: (): Numbers => all.subarray(0, length),
  };
}

/**
 * Approximate number of UTF-16 units in a part. Shorter parts would take more time, because each call of `encode` has a fixed
 * cost; longer parts would take more memory, in proportion to their length.
 */
const PART = 2 ** 16;

/**
 * Splits a text into parts that can be encoded separately, at indices that the tokenizer's `cut` returns. A string is one
 * part, and so is any text if the tokenizer has no `cut`.
 */
export function* partsOf(text: TextPieces, cut?: (text: string) => number): Generator<string> {
  if (typeof text === "string") return yield text;
  let held = "";
  let threshold = PART;
  for (const piece of text) {
    if (held.length + piece.length > LONGEST_STRING) {
      throw new UserError(
        `Text has ${LONGEST_STRING} characters or more that its tokenizer cannot encode in parts; expected fewer.`,
      );
    }
    held += piece;
    if (!cut || held.length < threshold) continue;
    const at = cut(held);
    // Doubling the threshold avoids quadratic time if no cut is possible.
    threshold = at > 0 ? PART : 2 * held.length;
    if (at === 0) continue;
    yield held.slice(0, at);
    held = held.slice(at);
  }
  if (held !== "") yield held;
}

/** Concatenated samples: their ids, and the index after the last id of each sample. */
export type SampleIds = Readonly<Record<"ids" | "ends", Numbers>>;

export function encodeTexts(
  tokenizer: Tokenizer,
  texts: Iterable<TextPieces>,
  capacity: { ids: number; texts: number },
): SampleIds {
  const ids = numberList(tokenizer.size - 1, capacity.ids);
  const ends = numberList(capacity.ids, capacity.texts);
  for (const text of texts) {
    const start = ids.length;
    for (const part of partsOf(text, tokenizer.cut)) ids.add(tokenizer.encode(part, ids.length - start));
    ends.push(ids.length);
  }
  return { ids: ids.all(), ends: ends.all() };
}

export function joinIds(samples: readonly ArrayLike<number>[], most = 0xffffffff): SampleIds {
  const length = samples.reduce((sum, sample) => sum + sample.length, 0);
  const [ids, ends] = [numberList(most, length), numberList(length, samples.length)];
  for (const sample of samples) {
    ids.add(sample);
    ends.push(ids.length);
  }
  return { ids: ids.all(), ends: ends.all() };
}
