// Downsamples lines that have more points than pixels, in such a way that spikes stay visible.

/**
 * Returns at most `n` of the points, in order. It keeps the first and the last point. It also divides the line into equally
 * long segments and keeps the points with the smallest and the largest y of each segment. If some y is not finite, it also
 * keeps the first such point of each segment, so that a broken line stays broken. Lines of n points or fewer are returned
 * unchanged.
 *
 * @param points (x, y) in the order of the line
 * @param n at least 5
 *
 * @example
 * ```ts
 * import { thin } from "./downsample.ts";
 * thin([[0, 0], [1, 0], [2, 9], [3, 0], [4, 0], [5, 0]], 5).map(([x]) => x); // [0, 1, 2, 5]
 * ```
 */
export function thin<P extends readonly [number, number]>(points: readonly P[], n: number): readonly P[] {
  if (points.length <= n) return points;
  const perBucket = points.some(([, y]) => !Number.isFinite(y)) ? 3 : 2;
  const buckets = Math.floor((n - 2) / perBucket);
  const inner = points.length - 2;
  const kept: P[] = [points[0]];
  for (let bucket = 0; bucket < buckets; bucket++) {
    let [least, greatest, broken] = [-1, -1, -1];
    const end = 1 + Math.floor((bucket + 1) * inner / buckets);
    for (let i = 1 + Math.floor(bucket * inner / buckets); i < end; i++) {
      const y = points[i][1];
      if (!Number.isFinite(y)) broken = broken < 0 ? i : broken;
      else {
        if (least < 0 || y < points[least][1]) least = i;
        if (greatest < 0 || y > points[greatest][1]) greatest = i;
      }
    }
    const chosen = new Set([least, greatest, broken].filter((i) => i >= 0));
    for (const i of [...chosen].sort((a, b) => a - b)) kept.push(points[i]);
  }
  kept.push(points[points.length - 1]);
  return kept;
}

/** Downsamples a line whose items are added one by one. */
export interface Thinner<T> {
  /** Adds the next item of the line. */
  add(item: T): void;
  /** Returns the items kept so far, in order. */
  items(): T[];
}

/**
 * An item that is kept, with its index in the line. A segment keeps the smallest item, the largest item and the first item
 * that is not finite.
 */
type Kept<T> = { at: number; y: number; item: T };
type Stretch<T> = { least?: Kept<T>; greatest?: Kept<T>; broken?: Kept<T> };

function join<T>(a: Stretch<T>, b: Stretch<T>): Stretch<T> {
  const pick = (x: Kept<T> | undefined, y: Kept<T> | undefined, second: boolean) =>
    (x && y && second) || !x ? y : x;
  return {
    least: pick(a.least, b.least, !!b.least && b.least.y < (a.least?.y ?? Infinity)),
    greatest: pick(a.greatest, b.greatest, !!b.greatest && b.greatest.y > (a.greatest?.y ?? -Infinity)),
    broken: a.broken ?? b.broken,
  };
}

/**
 * Does the same as `thin` for a line that is too long for memory: keeps at most 3 n + 2 items, in constant memory. The line
 * is divided into equally long segments, whose length doubles when there would be more than n segments. The ends of the
 * line are kept and, in each segment, the items with the smallest and the largest y and the first whose y is not finite. If
 * there are at most n items, all are kept.
 *
 * @param n number of segments, even and at least 2
 * @param y returns an item's position on the vertical axis
 *
 * @example
 * ```ts
 * import { thinner } from "./downsample.ts";
 * const line = thinner<number>(4, (y) => y);
 * for (let i = 0; i < 1e5; i++) line.add(i === 70_000 ? 9 : Math.sin(i));
 * line.items().includes(9); // true
 * ```
 */
export function thinner<T>(n: number, y: (item: T) => number): Thinner<T> {
  let stretches: Stretch<T>[] = [];
  let length = 1;
  let count = 0;
  let ends: [Kept<T>, Kept<T>] | undefined;
  return {
    add(item) {
      const kept = { at: count, y: y(item), item };
      ends = [ends?.[0] ?? kept, kept];
      if (count === n * length) {
        stretches = Array.from({ length: n / 2 }, (_, i) => join(stretches[2 * i], stretches[2 * i + 1]));
        length *= 2;
      }
      const single = Number.isFinite(kept.y) ? { least: kept, greatest: kept } : { broken: kept };
      const place = Math.floor(count++ / length);
      stretches[place] = join(stretches[place] ?? {}, single);
    },
    items() {
      const all = stretches.flatMap(({ least, greatest, broken }) => [least, greatest, broken]);
      const places = new Map([...ends ?? [], ...all].flatMap((kept) => kept ? [[kept.at, kept.item]] : []));
      return [...places].sort(([a], [b]) => a - b).map(([_, item]) => item);
    },
  };
}
