// Fewer points for a line of many: a chart has no more pixels than it has, but a spike must still be seen.

/**
 * At most `n` of the points, in their order. The first and last stay, and of each of equally long stretches the points
 * with the least and the greatest y; where some y is not finite, also the first such point of a stretch, so that a
 * broken line stays broken. Lines of n points or fewer come back as they are.
 *
 * @param points (x, y) in the order of the line
 * @param n at least 5
 *
 * @example
 * ```ts
 * import { thin } from "./thin.ts";
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
