// Writes expressions as WGSL text. A WGSL compiler may assume that no number is NaN or infinite, and naga rejects such
// constants. Therefore NaN is recognised by its bits; min, max, clamp and comparisons handle NaN explicitly; non-finite
// constants are computed at run time; and terms that a compiler could cancel (x - x) are disguised.
import { maximum } from "../../src/base/extremes.ts";
import { expressionKey, flatIndex, lookupsOf, partsOf, variablesOf } from "./expression.ts";
import type { Binary, Expression } from "./expression.ts";

const FUNCTIONS: Partial<Record<string, string>> = {
  log: "safe_log",
  sqrt: "safe_sqrt",
  tanh: "safe_tanh",
  sigmoid: "logistic",
  min: "min_of",
  max: "max_of",
  "<": "f32_below",
  "<=": "f32_at_most",
  "==": "f32_equals",
};

/**
 * Constants whose absolute value is above `ORDINARY` or below 1 / `ORDINARY` could overflow or underflow if a compiler
 * combined them.
 */
const ORDINARY = 1e9;

const NONE: ReadonlySet<string> = new Set();

const isComparison = (f: Binary): boolean => f === "<" || f === "<=" || f === "==";

function heightOf(e: Expression): number {
  return 1 + maximum(partsOf(e).map(heightOf), 0);
}

/**
 * Returns the text of an operand of `e`, disguised so that a compiler cannot infer its value. The second argument of
 * `opaque_f32` is different in `e`, in the expressions that contain `e` and in the expressions that `e` contains.
 */
const opaque = (e: Expression, text: string, second = true): string =>
  `opaque_f32(${text}, ${2 * heightOf(e) + Number(second)}u)`;

/** A term of a sum, with its sign and the number of times that each factor (except numbers) occurs in it. */
interface TermOfSum {
  readonly term: Expression;
  readonly sign: number;
  readonly factors: ReadonlyMap<string, number>;
  readonly sums: readonly string[];
}

/** True if a compiler may be able to simplify the expression, for example max(x, x) or |-x|. */
function isTwisted(e: Expression): boolean {
  if (e.kind === "unary") return e.f === "abs" || e.f === "floor" || isTwisted(e.x);
  if (e.kind === "binary") return e.f === "min" || e.f === "max" || isTwisted(e.a) || isTwisted(e.b);
  return e.kind === "select";
}

function factorsOf(e: Expression, sign = 1): TermOfSum {
  if (e.kind === "number") return { term: e, sign: e.value < 0 ? -sign : sign, factors: new Map(), sums: [] };
  if (e.kind === "unary" && e.f === "neg") return factorsOf(e.x, -sign);
  if (e.kind === "binary" && e.f === "*") {
    const [a, b] = [factorsOf(e.a, sign), factorsOf(e.b)];
    const factors = new Map(a.factors);
    for (const [text, count] of b.factors) factors.set(text, (factors.get(text) ?? 0) + count);
    return { term: e, sign: a.sign * b.sign, factors, sums: [...a.sums, ...b.sums] };
  }
  const sums = e.kind === "binary" && (e.f === "+" || e.f === "-")
    ? [expressionKey(e.a), expressionKey(e.b)]
    : [];
  return { term: e, sign, factors: new Map([[expressionKey(e), 1]]), sums };
}

function termsOf(e: Expression, sign = 1): TermOfSum[] {
  if (e.kind === "unary" && e.f === "neg") return termsOf(e.x, -sign);
  if (e.kind !== "binary" || (e.f !== "+" && e.f !== "-")) return [factorsOf(e, sign)];
  return [...termsOf(e.a, sign), ...termsOf(e.b, e.f === "-" ? -sign : sign)];
}

/**
 * True if a compiler that factors the sum a + b, or rewrites it as a weighted mean, could turn infinity minus infinity into a
 * number. Terms of the same sign whose powers are both odd or both even (x + x^3) are safe.
 */
function cancels(a: Expression, b: Expression): boolean {
  const second = termsOf(b);
  return termsOf(a).some((one) =>
    second.some((other) => {
      if (!alike(one.term, other.term)) return false;
      if (isTwisted(one.term) || isTwisted(other.term)) return true;
      if (one.sums.some((x) => other.factors.has(x)) || other.sums.some((x) => one.factors.has(x))) {
        return true;
      }
      if (![...one.factors.keys()].some((text) => other.factors.has(text))) return false;
      const odd = (text: string) => ((one.factors.get(text) ?? 0) - (other.factors.get(text) ?? 0)) % 2 !== 0;
      return one.sign !== other.sign || [...one.factors.keys(), ...other.factors.keys()].some(odd);
    })
  );
}

/** True if the two expressions share a variable or a table, so that a compiler might cancel one against the other. */
function alike(a: Expression, b: Expression): boolean {
  const names = (e: Expression) => [...variablesOf(e), ...lookupsOf(e).map(({ table }) => `${table}[]`)];
  const known = new Set(names(a));
  return names(b).some((name) => known.has(name));
}

/** True if the expression's value depends on a result of `f`. */
function uses(e: Expression, f: "/" | "exp"): boolean {
  if (e.kind === "binary") return e.f === f || uses(e.a, f) || uses(e.b, f);
  if (e.kind === "unary") return e.f === f || uses(e.x, f);
  return e.kind === "select" && (uses(e.then, f) || uses(e.else, f));
}

/** True if a compiler might infer that the value is 0, because it depends on a comparison or a select. */
function mayVanish(e: Expression): boolean {
  if (e.kind === "binary") return isComparison(e.f) || mayVanish(e.a) || mayVanish(e.b);
  return e.kind === "select" || (e.kind === "unary" && mayVanish(e.x));
}

/** True if a compiler could simplify a * b or a / b, such as x / x or e^x e^y, although the result may be NaN. */
function simplifies(f: Binary, a: Expression, b: Expression): boolean {
  if (alike(a, b) && (f === "/" || uses(a, "/") || uses(b, "/"))) return true;
  return uses(a, "exp") && uses(b, "exp");
}

function numberText(value: number): string {
  const single = Math.fround(value);
  if (Number.isNaN(single)) return "f32_of_bits(0x7fc00000u)";
  const size = Math.abs(single);
  if (size !== 0 && (size > ORDINARY || size < 1 / ORDINARY)) {
    const [bits] = new Uint32Array(Float32Array.of(single).buffer);
    return `f32_of_bits(0x${bits.toString(16)}u)`;
  }
  return single < 0 ? `(-${size}f)` : `${single}f`;
}

function binaryText(e: Extract<Expression, { kind: "binary" }>, never: ReadonlySet<string>): string {
  const text = (x: Expression) => toWgsl(x, never);
  const { f, a, b } = e;
  if (f === "min" || f === "max") return `${FUNCTIONS[f]}(${text(a)}, ${text(b)})`;
  if (isComparison(f)) return `select(0f, 1f, ${toWgslCondition(e, never)})`;
  const hidden = f === "+" || f === "-"
    ? cancels(a, f === "-" ? { kind: "unary", f: "neg", x: b } : b)
    : simplifies(f, a, b);
  // A compiler would simplify 0 * x to 0, and would evaluate x / 0 at compile time.
  const scales = f === "*" || f === "/";
  const operand = (x: Expression, hide: boolean, second: boolean): string => {
    if (scales && x.kind === "number" && x.value === 0) return "f32_of_bits(0u)";
    return hide || (scales && mayVanish(x)) ? opaque(e, text(x), second) : text(x);
  };
  return `(${operand(a, false, false)} ${f} ${operand(b, hidden, true)})`;
}

/**
 * Returns the expression as WGSL text. Its variables become f32 variables of the same names. The shader must include
 * `WGSL_FUNCTIONS`.
 *
 * @param never names of the variables that are never NaN
 */
export function toWgsl(e: Expression, never: ReadonlySet<string> = NONE): string {
  const text = (x: Expression) => toWgsl(x, never);
  switch (e.kind) {
    case "number":
      return numberText(e.value);
    case "variable":
      return e.name;
    case "unary":
      if (e.f === "neg") return `(-${text(e.x)})`;
      if (e.f === "log" && uses(e.x, "exp")) return `safe_log(${opaque(e, text(e.x))})`;
      return `${FUNCTIONS[e.f] ?? e.f}(${text(e.x)})`;
    case "binary":
      return binaryText(e, never);
    case "select":
      return `select(${text(e.else)}, ${text(e.then)}, ${toWgslCondition(e.if, never)})`;
    case "lookup":
      return `${e.table}[${toWgslIndex(e, never)}]`;
  }
}

/** Returns the flat index of a lookup, as WGSL text of type u32. */
export function toWgslIndex(e: Extract<Expression, { kind: "lookup" }>, never = NONE): string {
  return flatIndex(e, (x, size) => {
    if (size === 1) return "0u";
    if (x.kind === "number") return `${Math.min(Math.max(Math.trunc(x.value) || 0, 0), size - 1)}u`;
    return `entry_at(${toWgsl(x, never)}, ${size - 1}u)`;
  }, "u");
}

/** Returns WGSL text of type bool that is true if the expression is not 0, for masks and for conditions of selects. */
export function toWgslCondition(e: Expression, never: ReadonlySet<string> = NONE): string {
  const text = (x: Expression) => toWgslCondition(x, never);
  const sure = (x: Expression): boolean =>
    (x.kind === "number" && Number.isFinite(x.value)) || (x.kind === "variable" && never.has(x.name)) ||
    (x.kind === "binary" && (x.f === "+" || x.f === "-") && sure(x.a) && sure(x.b));
  if (e.kind === "number") return String(e.value !== 0);
  if (e.kind === "select") {
    if (e.else.kind === "number" && e.else.value === 0) return `(${text(e.if)} & ${text(e.then)})`;
    if (e.then.kind === "number" && e.then.value !== 0) return `(${text(e.if)} | ${text(e.else)})`;
    return `select(${text(e.else)}, ${text(e.then)}, ${text(e.if)})`;
  }
  if (e.kind !== "binary" || !isComparison(e.f)) return `is_true(${toWgsl(e, never)})`;
  const [a, b] = [toWgsl(e.a, never), toWgsl(e.b, never)];
  if (sure(e.a) && sure(e.b)) return `(${a} ${e.f} ${b})`;
  return `${FUNCTIONS[e.f]}(${a}, ${alike(e.a, e.b) ? opaque(e, b) : b})`;
}

/**
 * WGSL functions that expressions call, to be inserted into a shader that contains an expression. The shader's `main` must
 * begin with `unknown_zero = select(0u, 0xffffffffu, groups.x == 0u)`, which is always 0, but no compiler can infer that.
 */
export const WGSL_FUNCTIONS = `
var<private> unknown_zero: u32;
fn f32_of_bits(bits: u32) -> f32 { return bitcast<f32>(bits ^ unknown_zero); }
/** Returns x; a compiler cannot infer that two calls with the same x are equal, so that hidden operands do not cancel. */
fn opaque_f32(x: f32, place: u32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ (unknown_zero & place)); }
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn are_numbers(a: f32, b: f32) -> bool {
  return max(bitcast<u32>(a) & 0x7fffffffu, bitcast<u32>(b) & 0x7fffffffu) <= 0x7f800000u;
}
/** x !== 0 in JavaScript: true for NaN. */
fn is_true(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) != 0u; }
fn f32_below(a: f32, b: f32) -> bool { return (a < b) & are_numbers(a, b); }
fn f32_at_most(a: f32, b: f32) -> bool { return (a <= b) & are_numbers(a, b); }
fn f32_equals(a: f32, b: f32) -> bool { return (a == b) & are_numbers(a, b); }
fn min_of(a: f32, b: f32) -> f32 { return select(select(min(a, b), b, is_nan(b)), a, is_nan(a)); }
fn max_of(a: f32, b: f32) -> f32 { return select(select(max(a, b), b, is_nan(b)), a, is_nan(a)); }
/** y if x is at least 0 (-0 too), else NaN. */
fn from_zero(x: f32, y: f32) -> f32 {
  let bits = bitcast<u32>(x);
  return select(y, bitcast<f32>(bits | 0x7fc00000u), (bits > 0x7f800000u) & (bits != 0x80000000u));
}
fn safe_log(x: f32) -> f32 { return from_zero(x, log(x)); }
fn safe_sqrt(x: f32) -> f32 { return from_zero(x, sqrt(x)); }
/** 1 / (1 + e^-x); 0 if the result would be subnormal. (It tests -x, not x, so that Mesa rounds as in earlier versions.) */
fn logistic(x: f32) -> f32 {
  let n = -x;
  let y = 1f / (1f + exp(select(min(n, 87.3f), n, is_nan(n))));
  return select(y, 0f, n > 87.3f);
}
fn safe_tanh(x: f32) -> f32 {
  return select(1f - 2f / (exp(2f * clamp(x, -15f, 15f)) + 1f), x, is_nan(x));
}
// Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
fn erf(x: f32) -> f32 {
  let t = 1f / (1f + 0.3275911f * abs(x));
  let p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  return sign(x) * (1f - p * exp(-x * x));
}
/** Rounds an index towards zero and clamps it to 0 .. last; NaN gives 0. Values of at least 1 are recognised by their bits. */
fn entry_at(x: f32, last: u32) -> u32 {
  let inside = bitcast<u32>(x) - 0x3f800000u <= 0x40000000u;
  return select(0u, min(u32(min(x, 2147483520f)), last), inside);
}
`;
