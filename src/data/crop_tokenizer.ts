// A tokenizer restricted to the tokens that a corpus uses, so that a small model can use a large tokenizer.
import { UserError } from "../base/errors.ts";
import { checkedPolicy, checkIds, type Tokenizer, UNKNOWN, type UnknownPolicy } from "./tokenizer.ts";

/**
 * Returns a tokenizer that keeps only some ids of `tokenizer`, which are renumbered 0, 1, 2, ... in ascending order. At a removed
 * token, `encode` throws UserError. With `unknown: "token"`, `encode` instead replaces a removed token by one more id, the
 * largest, which decodes to `<unk>`.
 *
 * @param used the ids to keep, in any order and possibly repeated, such as those of a corpus
 * @param options `unknown`: what a removed token becomes. Default: "error".
 * @throws UserError if `used` is empty
 *
 * @example
 * ```ts
 * import { gpt2Tokenizer } from "../../mod.ts";
 * import { cropTokenizer } from "./mod.ts";
 * const gpt2 = gpt2Tokenizer();
 * cropTokenizer(gpt2, gpt2.encode("Hello world")).size; // 2
 * ```
 */
export function cropTokenizer(
  tokenizer: Tokenizer,
  used: Iterable<number>,
  options: { unknown?: UnknownPolicy } = {},
): Tokenizer {
  const kept = Uint32Array.from(new Set(used)).sort();
  if (kept.length === 0) throw new UserError("Text is empty; a cropped tokenizer needs at least one token.");
  return cropped(tokenizer, kept, options.unknown ?? "error");
}

function cropped(tokenizer: Tokenizer, kept: Uint32Array, unknown: UnknownPolicy): Tokenizer {
  const newIds = new Map(Array.from(kept, (id, i) => [id, i]));
  const size = kept.length + (unknown === "token" ? 1 : 0);
  const decodeKnown = (ids: readonly number[]) => tokenizer.decode(ids.map((id) => kept[id]));
  return {
    kind: "cropped",
    size,
    first: tokenizer.first === undefined ? undefined : newIds.get(tokenizer.first),
    encode: (text, before = 0) =>
      tokenizer.encode(text, before).map((id, at) => {
        const newId = newIds.get(id);
        if (newId !== undefined) return newId;
        if (unknown === "token") return kept.length;
        const token = JSON.stringify(tokenizer.decode([id]));
        throw new UserError(
          `Text has the token ${token} at position ${before + at}, which the corpus does not contain; ` +
            `expected one of the ${kept.length} that were kept, or a tokenizer with unknown "token".`,
        );
      }),
    hasToken: tokenizer.hasToken && ((id) => id === kept.length || tokenizer.hasToken!(kept[id])),
    cut: tokenizer.cut,
    decode: (ids) => {
      checkIds(ids, size);
      // The bytes of a character may span several tokens, so all tokens between two unknown tokens are decoded together.
      const parts: number[][] = [[]];
      for (let i = 0; i < ids.length; i++) {
        if (ids[i] === kept.length) parts.push([]);
        else parts[parts.length - 1].push(ids[i]);
      }
      return parts.map(decodeKnown).join(UNKNOWN);
    },
    toJSON: () => ({ kind: "cropped", of: tokenizer.toJSON(), ids: [...kept], unknown }),
  };
}

/** @internal Builds the cropped tokenizer from a checkpoint's parsed tokenizer.json; `read` reads the original tokenizer. */
export function croppedTokenizerOf(
  { of, ids, unknown }: Readonly<Record<string, unknown>>,
  read: (file: unknown) => Tokenizer,
): Tokenizer {
  const policy = checkedPolicy(unknown);
  const tokenizer = read(of);
  const place = "Tokenizer file: ids";
  if (!Array.isArray(ids) || ids.length === 0) {
    throw new UserError(`${place} is ${JSON.stringify(ids)}; expected a list of ids.`);
  }
  ids.forEach((id: unknown, i) => {
    const least = i === 0 ? 0 : ids[i - 1] + 1;
    if (Number.isInteger(id) && (id as number) >= least && (id as number) < tokenizer.size) return;
    const expected = `expected an id from ${least} to ${tokenizer.size - 1}, ascending`;
    throw new UserError(`${place}[${i}] is ${JSON.stringify(id)}; ${expected}.`);
  });
  return cropped(tokenizer, Uint32Array.from(ids as number[]), policy);
}
