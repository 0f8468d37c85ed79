// Hooks files as people get them wrong, by kinds: a grammar of which a seed draws any number, with how each must end.
import type { RandomStream } from "../../src/base/random.ts";
import { CALL_KINDS } from "./calls.ts";
import { EXPORT_KINDS } from "./exports.ts";
import type { Draw, Ending } from "./words.ts";

export type { Ending };

/** A hooks file. */
export interface HooksFile {
  /** What is wrong with it. */
  readonly kind: string;
  readonly source: string | Uint8Array;
  readonly ending: Ending;
  /** Its name, where that is part of the case. */
  readonly name?: string;
}

/** So many hooks files: each kind in turn, its words drawn anew. */
export function hooksFiles(count: number, random: RandomStream): HooksFile[] {
  const draw: Draw = (words) => words[random.below(words.length)];
  const kinds = Object.entries({ ...EXPORT_KINDS, ...CALL_KINDS });
  return Array.from({ length: count }, (_, i): HooksFile => {
    const [kind, make] = kinds[i % kinds.length];
    const [source, ending, name] = make(draw);
    return { kind, source, ending, ...(name === undefined ? {} : { name }) };
  });
}
