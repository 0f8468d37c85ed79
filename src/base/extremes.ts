// Maximum and minimum of any number of values. `Math.max(...values)` overflows the stack at about 100,000 values.

/** Returns the largest of `start` and the values, or NaN if a value is NaN. */
export function maximum(values: Iterable<number>, start = -Infinity): number {
  let max = start;
  for (const value of values) max = Math.max(max, value);
  return max;
}

/** Returns the smallest of `start` and the values, or NaN if a value is NaN. */
export function minimum(values: Iterable<number>, start = Infinity): number {
  let min = start;
  for (const value of values) min = Math.min(min, value);
  return min;
}
