// Ticks of axes: where they stand and what they say, for every kind of chart.

/** 1000 as 1000, 20000 as 20,000, 3e6 as 3M; an axis that ends below 0.01 in powers of ten throughout. */
export function tickLabel(value: number, largest: number): string {
  if (value === 0) return "0";
  const short = Number(value.toPrecision(6));
  if (largest < 0.01 || Math.abs(value) < 1e-4 || Math.abs(value) >= 1e9) {
    return short.toExponential().replace("e+", "e");
  }
  if (largest >= 1e6 && Math.abs(value) >= 1e5) return `${Number((value / 1e6).toPrecision(6))}M`;
  return largest >= 1e4 ? short.toLocaleString("en-US") : String(short);
}

/** The multiples of 1, 2 or 5 times a power of ten within [low, high], about six; of whole numbers only if `whole`. */
export function linearTicks(low: number, high: number, whole: boolean): { value: number }[] {
  const raw = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(raw));
  let step = power * ([1, 2, 5].find((digit) => digit * power >= raw * 0.999) ?? 10);
  if (whole) step = Math.max(1, step);
  const ticks: { value: number }[] = [];
  for (let k = Math.ceil(low / step - 1e-6); k <= high / step + 1e-6; k++) {
    ticks.push({ value: Number((k * step).toPrecision(12)) });
  }
  return ticks;
}

/** Of a logarithmic axis's ticks the powers of ten, and 2 and 5 of each, or all digits, where it has few of them. */
export function logTicks(ticks: { value: number }[]): { value: number }[] {
  const decades = Math.log10(ticks.at(-1)!.value / ticks[0].value);
  const digits = decades > 3 ? [1] : decades > 0.7 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const kept = ticks.filter(({ value }) => {
    const digit = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    return digits.some((round) => Math.abs(digit - round) < 1e-6);
  });
  return kept.length > 1 ? kept : ticks;
}

/**
 * Whether numbers from `low` to `high` are one number and its rounding: their ticks would all read the same. An axis
 * shows such a line in its middle.
 */
export function isFlat(low: number, high: number): boolean {
  return low <= high && high - low <= 1e-5 * Math.max(Math.abs(low), Math.abs(high));
}

/** The ends of a linear axis round a flat line: a tenth of it to either side, or 1 round 0. */
export function roundFlat(low: number, high: number): [low: number, high: number] {
  const side = Math.max(Math.abs(low), Math.abs(high)) / 10 || 1;
  return [low - side, high + side];
}
