// Possible float32 values of an expression: an interval that contains every value it may take while each operation has the
// error that WGSL allows, overflows to infinity or flushes a denormal, and whether it may be NaN. Two devices agree if the
// values of both are inside; if the interval is a point, that is equality.
import type { Expression, Lookup } from "../../kernels/expression/expression.ts";

/** Values from `low` to `high`, infinities included, if `number`; NaN if `nan`. Both where either may be. */
export interface Enclosure {
  readonly low: number;
  readonly high: number;
  readonly number: boolean;
  readonly nan: boolean;
}

const ULP = 2 ** -23;
const LEAST = 2 ** -126;
const LARGEST = 3.4028234663852886e38;
const NAN: Enclosure = { low: 0, high: 0, number: false, nan: true };

/** The enclosure of one number, or of all between two. */
export function between(low: number, high = low, nan = false): Enclosure {
  return Number.isNaN(low) ? NAN : { low, high, number: true, nan };
}
const anything = (nan: boolean) => between(-Infinity, Infinity, nan);
const isPoint = (x: Enclosure) => x.number && !x.nan && x.low === x.high;
const isZero = (x: Enclosure) => isPoint(x) && x.low === 0;
const holds = (x: Enclosure, value: number) => x.number && x.low <= value && value <= x.high;
const sizeOf = (x: Enclosure) => Math.max(Math.abs(x.low), Math.abs(x.high));

/** The interval of a result with errors `relative` and `absolute`, which may overflow or flush a denormal. */
function rounded({ low, high, number, nan }: Enclosure, relative: number, absolute = 0): Enclosure {
  if (!number) return NAN;
  let from = Number.isFinite(low) ? low - Math.abs(low) * relative - absolute : low;
  let to = Number.isFinite(high) ? high + Math.abs(high) * relative + absolute : high;
  if (to > LARGEST * (1 - 1e-6)) to = Infinity;
  if (from < -LARGEST * (1 - 1e-6)) from = -Infinity;
  const least = LEAST * (1 + 1e-5);
  if (from > 0 && from < least) from = 0;
  if (to < 0 && to > -least) to = 0;
  return { low: from, high: to, number, nan };
}

/** f of two intervals from its values at their corners; if one of these is NaN, anything. */
function corners(a: Enclosure, b: Enclosure, f: (x: number, y: number) => number): Enclosure {
  if (!a.number || !b.number) return NAN;
  const values = [a.low, a.high].flatMap((x) => [b.low, b.high].map((y) => f(x, y)));
  if (!values.some(Number.isNaN)) return between(Math.min(...values), Math.max(...values), a.nan || b.nan);
  return isPoint(a) && isPoint(b) ? NAN : anything(true);
}

function sum(a: Enclosure, b: Enclosure, sign: number): Enclosure {
  const ends = b.number && sign < 0 ? { ...b, low: -b.high, high: -b.low } : b;
  const opposed = (a.high === Infinity && ends.low === -Infinity) ||
    (a.low === -Infinity && ends.high === Infinity);
  const exact = corners(a, ends, (x, y) => x + y);
  // Terms may be added in any order, so that the error is relative to their magnitudes, not to the sum.
  const terms = ULP * (Math.min(sizeOf(a), LARGEST) + Math.min(sizeOf(b), LARGEST));
  return rounded({ ...exact, nan: exact.nan || opposed }, 0, isZero(a) || isZero(b) ? 0 : terms);
}

function product(a: Enclosure, b: Enclosure): Enclosure {
  const infinite = (x: Enclosure) => x.low === -Infinity || x.high === Infinity;
  const lost = (holds(a, 0) && infinite(b)) || (holds(b, 0) && infinite(a));
  const exact = corners(a, b, (x, y) => x * y);
  return rounded({ ...exact, nan: exact.nan || lost }, 2 * ULP);
}

function quotient(a: Enclosure, b: Enclosure): Enclosure {
  if (!a.number || !b.number) return NAN;
  const nan = a.nan || b.nan;
  if (holds(b, 0)) {
    if (isZero(a) && isZero(b)) return NAN;
    // The sign of a zero depends on the device, and so does that of its reciprocal.
    return anything(nan || holds(a, 0) || (sizeOf(a) === Infinity && sizeOf(b) === Infinity));
  }
  const exact = rounded(corners(a, b, (x, y) => x / y), 4 * ULP);
  if (!exact.number) return NAN;
  // WGSL does not define division by numbers beyond 2^126: the reciprocal is a denormal.
  if (sizeOf(b) < 2 ** 126) return exact;
  const lost = sizeOf(a) === Infinity;
  return { ...exact, low: Math.min(exact.low, 0), high: Math.max(exact.high, 0), nan: exact.nan || lost };
}

function comparison(f: string, a: Enclosure, b: Enclosure): Enclosure {
  if (!a.number || !b.number) return between(0);
  const equal = isPoint(a) && isPoint(b) && a.low === b.low;
  const apart = a.high < b.low || b.high < a.low;
  const always = f === "<" ? a.high < b.low : f === "<=" ? a.high <= b.low : equal;
  const never = f === "<" ? a.low >= b.high : f === "<=" ? a.low > b.high : apart;
  if (never) return between(0);
  return always && !a.nan && !b.nan ? between(1) : between(0, 1);
}

function union(a: Enclosure, b: Enclosure): Enclosure {
  if (!a.number) return { ...b, nan: true };
  if (!b.number) return { ...a, nan: true };
  return between(Math.min(a.low, b.low), Math.max(a.high, b.high), a.nan || b.nan);
}

const sigmoid = (x: number) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));

/** Monotone functions; `erf` is an argument, because the evaluation should share only that with the kernels' host code. */
function unary(f: string, x: Enclosure, erf: (x: number) => number): Enclosure {
  if (!x.number) return NAN;
  const over = (g: (x: number) => number) => between(g(x.low), g(x.high), x.nan);
  const steps = 4 + 2 * Math.min(sizeOf(x), 200);
  switch (f) {
    case "neg":
      return between(-x.high, -x.low, x.nan);
    case "abs":
      return x.low >= 0 ? x : x.high <= 0 ? between(-x.high, -x.low, x.nan) : between(0, sizeOf(x), x.nan);
    case "floor":
      return over(Math.floor);
    case "exp":
      return rounded(over(Math.exp), steps * ULP);
    case "sigmoid":
      return clipped(rounded(over(sigmoid), steps * ULP), 0, 1 + 4 * ULP);
    case "tanh":
      return clipped(rounded(over(Math.tanh), 4 * ULP, 4 * ULP), -1 - 4 * ULP, 1 + 4 * ULP);
    case "erf":
      return clipped(rounded(over(erf), 4 * ULP, 8 * ULP), -1 - 4 * ULP, 1 + 4 * ULP);
    case "sqrt":
      if (x.high < 0) return NAN;
      return rounded(between(Math.sqrt(Math.max(x.low, 0)), Math.sqrt(x.high), x.nan || x.low < 0), 4 * ULP);
    default: {
      if (x.high < 0) return NAN;
      // A device may see only the exponent of a denormal.
      const high = Math.log(x.low < LEAST ? Math.max(x.high, LEAST) : x.high);
      const exact = between(Math.log(Math.max(x.low, 0)), high, x.nan || x.low < 0);
      return rounded(exact, 4 * ULP, 4 * ULP);
    }
  }
}

function clipped(x: Enclosure, low: number, high: number): Enclosure {
  return { ...x, low: Math.max(x.low, low), high: Math.min(x.high, high) };
}

/** Numbers of variables, of tables, and an error function. */
export interface Point {
  readonly variables: Readonly<Record<string, number>>;
  readonly tables: Readonly<Record<string, ArrayLike<number>>>;
  readonly erf: (x: number) => number;
}

const entryAt = (index: number, size: number): number =>
  index >= 1 ? Math.min(Math.trunc(index), size - 1) : 0;

function entries(e: Lookup, at: (x: Expression) => Enclosure, tables: Point["tables"]): Enclosure {
  const ranges = e.indices.map((index, k): [number, number] => {
    const { low, high, number, nan } = at(index);
    if (!number) return [0, 0];
    return [nan ? 0 : entryAt(low, e.shape[k]), entryAt(high, e.shape[k])];
  });
  let range: Enclosure | undefined;
  const visit = (k: number, place: number): void => {
    if (k === ranges.length) {
      const entry = between(tables[e.table][place]);
      range = range ? union(range, entry) : entry;
      return;
    }
    for (let i = ranges[k][0]; i <= ranges[k][1]; i++) visit(k + 1, place * e.shape[k] + i);
  };
  visit(0, 0);
  return range!;
}

/** The enclosure of an expression as it is written, without the folding of its builders. */
export function enclosureOf(e: Expression, point: Point): Enclosure {
  const at = (x: Expression) => enclosureOf(x, point);
  switch (e.kind) {
    case "number":
      // A folded constant is rounded by all devices except float64.
      return between(Math.min(e.value, Math.fround(e.value)), Math.max(e.value, Math.fround(e.value)));
    case "variable":
      return between(point.variables[e.name]);
    case "unary":
      return unary(e.f, at(e.x), point.erf);
    case "select": {
      const condition = at(e.if);
      if (isZero(condition)) return at(e.else);
      if (!condition.number || (!holds(condition, 0))) return at(e.then);
      return union(at(e.then), at(e.else));
    }
    case "lookup":
      return entries(e, at, point.tables);
    case "binary": {
      const [a, b] = [at(e.a), at(e.b)];
      if (e.f === "+" || e.f === "-") return sum(a, b, e.f === "+" ? 1 : -1);
      if (e.f === "*") return product(a, b);
      if (e.f === "/") return quotient(a, b);
      if (e.f === "min") return corners(a, b, Math.min);
      if (e.f === "max") return corners(a, b, Math.max);
      return comparison(e.f, a, b);
    }
  }
}

/** True if a device may give this value. */
export function encloses({ low, high, number, nan }: Enclosure, value: number): boolean {
  if (Number.isNaN(value)) return nan;
  return number && value >= Math.min(low, Math.fround(low)) && value <= Math.max(high, Math.fround(high));
}

/** True if the enclosure is tight: certainly NaN, a number to three digits, or one infinity. */
export function isSharp(x: Enclosure): boolean {
  if (x.nan) return !x.number;
  return x.low === x.high || x.high - x.low <= 1e-3 * Math.max(sizeOf(x), 1e-3);
}
