// Formats numbers of bytes, numbers of floating-point operations and times for human readers, each in a suitable unit.

const [BYTES, FLOPS] = [
  ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
  ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP", "YFLOP"],
];

/** Formats a number with about three digits, such as 9.54, 95.4 or 954. */
const short = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

/**
 * Returns the exponent n for which `base` to the power n is the unit for a value. A value that would be written as 1024.0
 * MiB gets the next larger unit, GiB.
 */
function powerOf(value: number, base: number, max: number, written: (value: number) => string): number {
  let power = 0;
  while (power < max && Number(written(value / base ** power)) >= base) power++;
  return power;
}

/**
 * Formats a number of bytes in the largest binary unit in which it is at least 1, with one decimal unless the unit is
 * bytes.
 *
 * @example
 * ```ts
 * import { showBytes } from "./mod.ts";
 * [showBytes(12), showBytes(3 * 2 ** 20), showBytes(1.5 * 2 ** 30)]; // 12 bytes, 3.0 MiB, 1.5 GiB
 * ```
 */
export function showBytes(bytes: number): string {
  const power = powerOf(bytes, 1024, BYTES.length - 1, (value) => value.toFixed(1));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${BYTES[power]}`;
}

/**
 * Formats a number of floating-point operations in the largest decimal unit in which it is at least 1, with about three
 * digits.
 *
 * @example
 * ```ts
 * import { showFlops } from "./mod.ts";
 * [showFlops(2.1e8), showFlops(1.5e12)]; // 210 MFLOP, 1.50 TFLOP
 * ```
 */
export function showFlops(flops: number): string {
  const power = powerOf(flops, 1000, FLOPS.length - 1, short);
  return `${power === 0 ? flops : short(flops / 1000 ** power)} ${FLOPS[power]}`;
}

/** A unit of time and its length in seconds. */
export interface TimeUnit {
  /** `ms`, `s`, `min`, `h` or `days`. */
  readonly name: string;
  /** The length of the unit in seconds. */
  readonly seconds: number;
}

const TIMES: readonly TimeUnit[] = [
  { name: "ms", seconds: 1e-3 },
  { name: "s", seconds: 1 },
  { name: "min", seconds: 60 },
  { name: "h", seconds: 3600 },
  { name: "days", seconds: 86400 },
];

/**
 * Returns the unit for times up to `seconds`: the largest unit in which `seconds` is at least 2, or milliseconds if it is
 * below one second.
 */
export function timeUnit(seconds: number): TimeUnit {
  if (!(seconds >= 1 && Number.isFinite(seconds))) return TIMES[seconds > 0 && seconds < 1 ? 0 : 1];
  return TIMES.slice(1).findLast((unit) => seconds >= 2 * unit.seconds) ?? TIMES[1];
}

/**
 * Formats a time in the largest unit from seconds to days in which it is at least 2, otherwise in seconds. A number below
 * 10, except 0, has one decimal.
 *
 * @example
 * ```ts
 * import { showSeconds } from "../../mod.ts";
 * [showSeconds(0.25), showSeconds(90), showSeconds(5400), showSeconds(3e5)]; // 0.3 s, 90 s, 90 min, 3.5 days
 * ```
 * @category Scripts
 */
export function showSeconds(seconds: number): string {
  const { name, seconds: unit } = timeUnit(Math.max(1, seconds));
  const value = seconds / unit;
  return `${value !== 0 && Math.abs(value) < 10 ? value.toFixed(1) : value.toFixed(0)} ${name}`;
}
