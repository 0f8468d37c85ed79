// Computes the ticks of axes and their labels, for every kind of chart and for values in the full range of float64.

/** Returns the shortest decimal form of a number such as 1e-320, which has fewer than six digits of precision. */
function shortest(value: number): string {
  for (let digits = 0; digits < 5; digits++) {
    const text = value.toExponential(digits);
    if (Number(text) === value) return text;
  }
  return Number(value.toExponential(5)).toExponential();
}

/**
 * Returns the label of a tick on an axis whose largest absolute value is `largest`, for example 1000, 20,000 or 3M (for
 * 3e6). The label is in scientific notation if `largest` is below 0.01.
 */
export function tickLabel(value: number, largest: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) < 1e-300) return shortest(value);
  const short = Number(value.toPrecision(6));
  if (largest < 0.01 || Math.abs(value) < 1e-4 || Math.abs(value) >= 1e9) {
    return short.toExponential().replace("e+", "e");
  }
  if (largest >= 1e6 && Math.abs(value) >= 1e5) return `${Number((value / 1e6).toPrecision(6))}M`;
  return largest >= 1e4 ? short.toLocaleString("en-US") : String(short);
}

export const largestOf = (values: Iterable<number>): number => {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
};

/**
 * Returns the number by which values up to `largest` are divided before they are added or subtracted: 1, or a power of ten
 * if `largest` is above 1e12 or below 1e-12. Without this division 1e308 - -1e308 would be infinite, and Chart.js would
 * never stop counting the decimals of 1e-320.
 */
export function unitOf(largest: number): number {
  if (!(largest > 0) || (largest >= 1e-12 && largest <= 1e12)) return 1;
  return Number(`1e${Math.floor(Math.log10(largest))}`) || Number.MIN_VALUE;
}

/** Returns the position of a value on a scale from 0 at `low` to 1 at `high`; 0 if `low` and `high` are equal. */
export function shareOf(value: number, low: number, high: number): number {
  const unit = unitOf(Math.max(Math.abs(low), Math.abs(high)));
  return high > low ? (value / unit - low / unit) / (high / unit - low / unit) : 0;
}

/**
 * Returns about `count` ticks within [low, high], which are the multiples of 1, 2 or 5 times a power of ten. If `integers`,
 * all ticks are integers.
 */
export function linearTicks(low: number, high: number, integers: boolean, count = 6): { value: number }[] {
  const unit = unitOf(Math.max(Math.abs(low), Math.abs(high)));
  const [from, to] = [low / unit, high / unit];
  const raw = (to - from) / count;
  if (!(raw > 0)) return [{ value: low }];
  const power = 10 ** Math.floor(Math.log10(raw));
  let step = power * ([1, 2, 5].find((digit) => digit * power >= raw * 0.999) ?? 10);
  if (integers) step = Math.max(1 / unit, step);
  const ticks: { value: number }[] = [];
  for (let k = Math.ceil(from / step - 1e-6); k <= to / step + 1e-6; k++) {
    ticks.push({ value: Number((k * step).toPrecision(12)) * unit });
  }
  return ticks.filter(({ value }, n) => Number.isFinite(value) && value !== ticks[n - 1]?.value);
}

const MOST_LOG_TICKS = 7;

/**
 * Returns the smallest step of 1, 2, 3, 5, 10, ... powers of ten with which an axis over `count` powers of ten gets at most
 * {@link MOST_LOG_TICKS} ticks.
 */
function stepOfPowers(count: number): number {
  for (let power = 1;; power *= 10) {
    for (const digit of [1, 2, 3, 5]) if (count / (digit * power) <= MOST_LOG_TICKS) return digit * power;
  }
}

/**
 * Returns the ticks of a logarithmic axis over [low, high], both above 0. They are powers of ten; on a shorter axis also 2
 * and 5 times a power of ten, or every digit times a power of ten. A very short axis has the ticks of a linear axis.
 */
export function logTicks(low: number, high: number): number[] {
  const all: { value: number; digit: number; power: number }[] = [];
  const last = Math.ceil(Math.log10(high));
  for (let power = Math.floor(Math.log10(low)) - 1; power <= last; power++) {
    for (let digit = 1; digit < 10; digit++) {
      const value = Number(`${digit}e${power}`);
      if (value > 0 && value >= low && value <= high) all.push({ value, digit, power });
    }
  }
  if (all.length < 2) return linearTicks(low, high, false).map(({ value }) => value);
  const decades = Math.log10(all.at(-1)!.value) - Math.log10(all[0].value);
  const digits = decades > 3 ? [1] : decades > 0.7 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const round = all.filter(({ digit }) => digits.includes(digit));
  const ticks = round.length > 1 ? round : all;
  const powers = ticks.filter(({ digit }) => digit === 1);
  const step = stepOfPowers(powers.length);
  const kept = ticks.length <= MOST_LOG_TICKS
    ? ticks
    : powers.length > 1
    ? powers.filter(({ power }) => power % step === 0)
    : ticks.filter((_, n) => n % 2 === 0);
  return kept.map(({ value }) => value);
}

/**
 * Returns whether `low` and `high` differ only by rounding, so that all ticks between them would have the same label. An
 * axis shows a line with such values in its middle.
 */
export function isFlat(low: number, high: number): boolean {
  return low <= high && high - low <= 1e-5 * Math.max(Math.abs(low), Math.abs(high));
}

/**
 * Returns the ends of a linear axis around a flat line: a tenth of the line's value below and above it, or -1 and 1 for a
 * line at 0.
 */
export function roundFlat(low: number, high: number): [low: number, high: number] {
  const largest = Math.max(Math.abs(low), Math.abs(high));
  const side = largest / 10 || largest || 1;
  const { MAX_VALUE } = Number;
  return [Math.max(-MAX_VALUE, low - side), Math.min(MAX_VALUE, high + side)];
}

/**
 * Returns the ends of a linear axis over [low, high], which are the nearest round numbers at or beyond `low` and `high` for
 * about `count` ticks.
 */
export function roundEnds(low: number, high: number, count = 6): [low: number, high: number] {
  const [first, second] = linearTicks(low, high, false, count).map(({ value }) => value);
  const step = second - first || high / 4 - low / 4;
  if (!(step > 0)) return [low, high];
  const { MAX_VALUE } = Number;
  return [
    Math.max(-MAX_VALUE, Math.floor(low / step + 1e-6) * step),
    Math.min(MAX_VALUE, Math.ceil(high / step - 1e-6) * step),
  ];
}

/** Returns the ends of an axis clamped to its limits, or unchanged if the clamped range would be empty. */
export function within(
  [low, high]: readonly [low: number, high: number],
  limits: readonly [low: number, high: number] = [-Infinity, Infinity],
): [low: number, high: number] {
  const [from, to] = [Math.max(low, limits[0]), Math.min(high, limits[1])];
  return from < to ? [from, to] : [low, high];
}
