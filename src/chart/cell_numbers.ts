// Formats the numbers in the cells of a heat map, with as many digits as are needed to distinguish them and fit in a cell.

import { maximum, minimum } from "../base/extremes.ts";
import { isFlat, largestOf } from "./ticks.ts";

const [MOST_DIGITS, DIGITS] = [7, 3];

/** Returns the decimal exponent of a positive number: 0 for 3.4, -2 for 0.034. */
const placeOf = (value: number): number => Math.floor(Math.log10(value));

/** Formats a number with `decimals` decimals, or with two significant digits if `decimals` would show fewer. */
function written(value: number, decimals: number, digits: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) {
    return Number(value.toExponential(Math.max(0, digits - 2))).toExponential().replace("e+", "e");
  }
  if (size < 10 ** (1 - decimals) && !Number.isInteger(value)) {
    return String(Number(value.toPrecision(Math.min(2, digits))));
  }
  return value.toFixed(decimals);
}

/**
 * Returns a function that formats the finite numbers in the cells. It shows three significant digits of the largest number,
 * or up to seven if these show two digits of the difference between minimum and maximum. A number that does not fit gets
 * fewer digits, down to one. Only 0 is written as 0. Returns undefined if some number does not fit with one digit.
 */
export function cellFormat(
  values: readonly number[],
  fits: (text: string) => boolean,
): ((value: number) => string) | undefined {
  const largest = largestOf(values);
  const [low, high] = [minimum(values), maximum(values)];
  const integers = values.every(Number.isInteger);
  const [top, spread] = [largest > 0 ? placeOf(largest) : 0, placeOf(high - low)];
  // Numbers as large as their differences need no extra digits.
  const more = integers || isFlat(low, high) || top - spread + 2 > MOST_DIGITS ? DIGITS : top - spread + 2;
  const way = (digits: number) => {
    const decimals = integers || largest === 0 ? 0 : Math.min(20, Math.max(0, digits - 1 - top));
    return (value: number) => written(value, decimals, digits);
  };
  const ways = [...new Set([Math.max(DIGITS, more), DIGITS, 2, 1])].map(way);
  const format = (value: number) => ways.map((write) => write(value)).find(fits);
  return values.every((value) => format(value) !== undefined) ? (value) => format(value)! : undefined;
}
