// Threefry-2x32 (Salmon et al. 2011), the counter-based generator of all random numbers in heed: a value depends only on
// (key, counter), so a resumed run, a recomputed mask and another device draw the same bits.

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;

/**
 * Returns 64 random bits for the counter `(c0, c1)` and the key `(k0, k1)`, as two unsigned 32-bit integers. They are
 * computed by Threefry-2x32 with 20 rounds.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 *
 * @example
 * ```ts
 * import { threefry2x32 } from "./random.ts";
 * threefry2x32(0, 0, 0, 0); // [0x6b200159, 0x99ba4efe]
 * ```
 */
export function threefry2x32(k0: number, k1: number, c0: number, c1: number): [number, number] {
  const keys = [k0 >>> 0, k1 >>> 0, (k0 ^ k1 ^ 0x1bd11bda) >>> 0];
  let x0 = (c0 + keys[0]) >>> 0;
  let x1 = (c1 + keys[1]) >>> 0;
  for (let group = 0; group < 5; group++) {
    const first = (group & 1) * 4;
    for (let round = first; round < first + 4; round++) {
      const r = ROTATIONS[round];
      x0 = (x0 + x1) >>> 0;
      x1 = ((x1 << r) | (x1 >>> (32 - r))) >>> 0;
      x1 = (x1 ^ x0) >>> 0;
    }
    x0 = (x0 + keys[(group + 1) % 3]) >>> 0;
    x1 = (x1 + keys[(group + 2) % 3] + group + 1) >>> 0;
  }
  return [x0, x1];
}

/** A seeded stream of random numbers. `position` counts the 64-bit draws; setting it jumps to another place in the stream.
 * @category Data */
export interface RandomStream {
  /** Number of draws so far. To continue a stream later, save this number and set it in the new stream. */
  position: number;
  /** Returns a uniform integer in [0, 2^32). */
  uint32(): number;
  /** Returns a uniform number in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Returns a uniform integer in [0, n), without modulo bias, for 1 <= n <= 2^32; throws RangeError for any other n. */
  below(n: number): number;
  /** Returns a number from the standard normal distribution (Box-Muller). */
  normal(): number;
}

/** Returns the 32-bit FNV-1a hash of a text's UTF-8 bytes. The key of a stream is (seed, hash32(purpose)). */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (const unit of new TextEncoder().encode(text)) h = Math.imul(h ^ unit, 0x01000193) >>> 0;
  return h;
}

/** Shuffles items uniformly in place (Fisher-Yates). */
export function shuffle(rng: RandomStream, items: { [i: number]: number; length: number }): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    [items[i], items[j]] = [items[j], items[i]];
  }
}

/**
 * Returns the stream of random numbers for a `seed` and a `purpose` ("batches", "init", "copy task 17"). Streams with
 * different purposes are independent.
 *
 * @param seed any integer; its low 32 bits are used
 * @param purpose the stream's name
 * @category Data
 */
export function randomStream(seed: number, purpose: string): RandomStream {
  const k0 = seed >>> 0;
  const k1 = hash32(purpose);
  const stream: RandomStream = {
    position: 0,
    uint32: () => draw()[0],
    uniform: () => {
      const [a, b] = draw();
      return ((a >>> 5) * 67108864 + (b >>> 6)) / 9007199254740992;
    },
    below: (n) => {
      if (!(n >= 1 && n <= 4294967296)) throw new RangeError(`below(${n}): expected 1 to 2^32.`);
      const limit = Math.floor(4294967296 / n) * n;
      for (;;) {
        const value = stream.uint32();
        if (value < limit) return value % n;
      }
    },
    normal: () => {
      const radius = Math.sqrt(-2 * Math.log(1 - stream.uniform()));
      return radius * Math.cos(2 * Math.PI * stream.uniform());
    },
  };
  const draw = () => {
    const at = stream.position++;
    return threefry2x32(k0, k1, at >>> 0, Math.floor(at / 4294967296));
  };
  return stream;
}
