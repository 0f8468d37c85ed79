// Random Unicode texts, for round trips.
import { randomStream } from "../../src/base/random.ts";

const SCRIPTS = [[0, 128], [0xa0, 0x500], [0x900, 0x80], [0x3040, 0xc0], [0x4e00, 0x1000], [0xac00, 0x800]];
const RARE = [[0, 0x110000], [0x1f300, 0x300], [0x1f1e6, 26], [0x1f3fb, 5], [0xfe00, 16], [0x300, 0x70], [
  0xe000,
  0x100,
]];
const RUNS = [
  " ",
  "\t",
  "\n",
  "\r\n",
  "\0",
  "\x1b",
  "\u0085",
  "\u00a0",
  "\u2028",
  "\u3000",
  "\ufeff",
  "\u200d",
];
const WORDS = ["it's", "we'll", " 'tis", "<|endoftext|>", "<unk>", "👩‍👩‍👧‍👦", "Ω≈ç√", "1234", "...", "\ufffd"];

/** Text number `index`: up to 40 pieces of scripts, emoji, runs of spaces and controls, and words; no lone surrogates. */
export function randomText(index: number, purpose: string): string {
  const rng = randomStream(7, `${purpose} ${index}`);
  const one = <T>(list: readonly T[]): T => list[rng.below(list.length)];
  let text = "";
  for (let i = rng.below(41); i > 0; i--) {
    const kind = rng.below(8);
    const [from, count] = one(kind < 4 ? SCRIPTS : RARE);
    if (kind < 6) text += String.fromCodePoint(from + rng.below(count));
    else text += kind === 6 ? one(RUNS).repeat(1 + rng.below(5)) : one(WORDS);
  }
  return text.toWellFormed();
}
