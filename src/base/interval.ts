// Mean and Student's 95% confidence interval of a few measurements.

/** 97.5% points of Student's t for 1 to 10 degrees of freedom, where the series below is not accurate. */
const FEW = "12.706205 4.302653 3.182446 2.776445 2.570582 2.446912 2.364624 2.306004 2.262157 2.228139"
  .split(" ").map(Number);

/**
 * Returns the 97.5% point of Student's t with `df` degrees of freedom, accurate to 1e-4. Above 10 degrees of freedom, it is
 * computed with a series up to the term in 1/df^3 (Fisher 1926).
 */
function studentT(df: number): number {
  if (df <= FEW.length) return FEW[df - 1];
  const z = 1.959963985;
  return z + (z ** 3 + z) / (4 * df) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * df ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * df ** 3);
}

/** The mean of measurements, and half the width of its 95% confidence interval. */
export interface Interval {
  /** The mean; null if there are no measurements. */
  readonly mean: number | null;
  /** Half the width of the interval, which is mean +- ci95; null if there are fewer than two measurements. */
  readonly ci95: number | null;
}

/**
 * Returns the mean of n measurements and its 95% confidence interval, which is mean +- t s / sqrt(n). Here s is the
 * standard deviation of the measurements, and t is the 97.5% point of Student's t with n - 1 degrees of freedom.
 * Measurements that are null are ignored.
 *
 * @example
 * ```ts
 * import { interval } from "./mod.ts";
 * interval([1, 2, 3]); // mean 2, ci95 2.48
 * ```
 *
 * @category Logs
 */
export function interval(measured: readonly (number | null)[]): Interval {
  const values = measured.filter((x) => x !== null);
  const n = values.length;
  if (n === 0) return { mean: null, ci95: null };
  const mean = values.reduce((sum, x) => sum + x, 0) / n;
  if (n === 1) return { mean, ci95: null };
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1);
  return { mean, ci95: studentT(n - 1) * Math.sqrt(variance / n) };
}
