// The largest and the smallest of any number of values: `Math.max(...values)` overflows the stack at some 100,000.

/** The largest of some numbers; `least` where there is none, NaN where one is NaN. */
export function maximum(values: Iterable<number>, least = -Infinity): number {
  let most = least;
  for (const value of values) most = Math.max(most, value);
  return most;
}

/** The smallest of some numbers; `most` where there is none, NaN where one is NaN. */
export function minimum(values: Iterable<number>, most = Infinity): number {
  let least = most;
  for (const value of values) least = Math.min(least, value);
  return least;
}
