// A small language of scalar expressions. Written once in TypeScript, an expression gives its WGSL, its function on the
// host and its derivative, so that nobody writes a derivative by hand. Activations, element-wise operations, epilogues
// and attention's score modifiers are all written in it.
import { UserError } from "../src/errors.ts";
import { erf } from "./erf.ts";

/** Functions of one number. */
export type Unary = "neg" | "exp" | "log" | "tanh" | "sigmoid" | "sqrt" | "abs" | "floor" | "erf";
/** Operations on two numbers. */
export type Binary = "+" | "-" | "*" | "/" | "min" | "max" | "<" | "<=" | "==";

/** A scalar expression over named variables. Comparisons give 1 or 0. */
export type Expression =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "unary"; readonly f: Unary; readonly x: Expression }
  | { readonly kind: "binary"; readonly f: Binary; readonly a: Expression; readonly b: Expression }
  | {
    readonly kind: "select";
    readonly if: Expression;
    readonly then: Expression;
    readonly else: Expression;
  }
  | {
    readonly kind: "lookup";
    readonly table: string;
    readonly shape: readonly number[];
    readonly indices: readonly Expression[];
  };

/** An expression, or a number that stands for one. */
export type Term = Expression | number;

const wrap = (x: Term): Expression => typeof x === "number" ? { kind: "number", value: x } : x;
const isNumber = (x: Expression, value?: number): boolean =>
  x.kind === "number" && (value === undefined || x.value === value);
const binary = (f: Binary, a: Term, b: Term): Expression =>
  fold({ kind: "binary", f, a: wrap(a), b: wrap(b) });
const unary = (f: Unary, x: Term): Expression => fold({ kind: "unary", f, x: wrap(x) });

/** A variable by name. */
export const variable = (name: string): Expression => ({ kind: "variable", name });
/** a + b */
export const plus = (a: Term, b: Term): Expression => binary("+", a, b);
/** a - b */
export const minus = (a: Term, b: Term): Expression => binary("-", a, b);
/** a b */
export const times = (a: Term, b: Term): Expression => binary("*", a, b);
/** a / b */
export const over = (a: Term, b: Term): Expression => binary("/", a, b);
/** The smaller of two; where they are equal the derivative follows the first. */
export const min = (a: Term, b: Term): Expression => binary("min", a, b);
/** The larger of two; where they are equal the derivative follows the first. */
export const max = (a: Term, b: Term): Expression => binary("max", a, b);
/** 1 where a < b, else 0. */
export const less = (a: Term, b: Term): Expression => binary("<", a, b);
/** 1 where a <= b, else 0. */
export const atMost = (a: Term, b: Term): Expression => binary("<=", a, b);
/** 1 where a = b, else 0. */
export const equal = (a: Term, b: Term): Expression => binary("==", a, b);
/** -x */
export const negative = (x: Term): Expression => unary("neg", x);
/** e^x */
export const exp = (x: Term): Expression => unary("exp", x);
/** Natural logarithm. */
export const log = (x: Term): Expression => unary("log", x);
/** Hyperbolic tangent. */
export const tanh = (x: Term): Expression => unary("tanh", x);
/** 1 / (1 + e^-x) */
export const sigmoid = (x: Term): Expression => unary("sigmoid", x);
/** Square root. */
export const sqrt = (x: Term): Expression => unary("sqrt", x);
/** |x|; the derivative at 0 is 0. */
export const absolute = (x: Term): Expression => unary("abs", x);
/** The largest whole number not above x; its derivative is taken as 0. */
export const floor = (x: Term): Expression => unary("floor", x);
/**
 * An entry of a table of the given shape, at whole numbers (rounded towards zero, kept inside by the device). Indices
 * are combined as integers, so that a table may have more entries than a float32 can count.
 */
export const lookup = (table: string, shape: readonly number[], ...indices: Term[]): Expression => {
  if (indices.length !== shape.length) {
    throw new UserError(`Table ${table} has ${shape.length} dimensions, found ${indices.length} indices.`);
  }
  return { kind: "lookup", table, shape, indices: indices.map(wrap) };
};
/** The error function. */
export const errorFunction = (x: Term): Expression => unary("erf", x);
/** `then` where `condition` is not 0, else `otherwise`. */
export const select = (condition: Term, then: Term, otherwise: Term): Expression => {
  const [c, a, b] = [wrap(condition), wrap(then), wrap(otherwise)];
  if (c.kind === "number") return c.value !== 0 ? a : b;
  return { kind: "select", if: c, then: a, else: b };
};

const HOST: Record<Unary, (x: number) => number> = {
  neg: (x) => -x,
  exp: Math.exp,
  log: Math.log,
  tanh: Math.tanh,
  sigmoid: (x) => x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)),
  sqrt: Math.sqrt,
  abs: Math.abs,
  floor: Math.floor,
  erf,
};

const HOST2: Record<Binary, (a: number, b: number) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  min: Math.min,
  max: Math.max,
  "<": (a, b) => Number(a < b),
  "<=": (a, b) => Number(a <= b),
  "==": (a, b) => Number(a === b),
};

/** Constant folding and the identities of 0 and 1: derivatives are built naively and come out short. */
function fold(e: Expression): Expression {
  if (e.kind === "unary" && e.x.kind === "number") return wrap(HOST[e.f](e.x.value));
  if (e.kind !== "binary") return e;
  const { f, a, b } = e;
  if (a.kind === "number" && b.kind === "number") return wrap(HOST2[f](a.value, b.value));
  if (f === "*" && (isNumber(a, 0) || isNumber(b, 0))) return wrap(0);
  if ((f === "*" && isNumber(a, 1)) || (f === "+" && isNumber(a, 0))) return b;
  if (((f === "*" || f === "/") && isNumber(b, 1)) || ((f === "+" || f === "-") && isNumber(b, 0))) return a;
  if (f === "/" && isNumber(a, 0)) return wrap(0);
  if (f === "-" && isNumber(a, 0)) return unary("neg", b);
  return e;
}

function unaryDerivative(f: Unary, x: Expression): Expression {
  switch (f) {
    case "neg":
      return wrap(-1);
    case "floor":
      return wrap(0);
    case "exp":
      return exp(x);
    case "log":
      return over(1, x);
    case "tanh":
      return minus(1, times(tanh(x), tanh(x)));
    case "sigmoid":
      return times(sigmoid(x), sigmoid(negative(x)));
    case "sqrt":
      return over(0.5, sqrt(x));
    case "abs":
      return select(less(0, x), 1, select(less(x, 0), -1, 0));
    case "erf":
      return times(2 / Math.sqrt(Math.PI), exp(negative(times(x, x))));
  }
}

/** d e / d name, as an expression. Comparisons and the conditions of selects are taken as constant. */
export function derivative(e: Expression, name: string): Expression {
  const d = (x: Expression) => derivative(x, name);
  switch (e.kind) {
    case "number":
      return wrap(0);
    case "lookup":
      return wrap(0);
    case "variable":
      return wrap(e.name === name ? 1 : 0);
    case "unary": {
      const inner = d(e.x);
      return isNumber(inner, 0) ? inner : times(unaryDerivative(e.f, e.x), inner);
    }
    case "select": {
      const [a, b] = [d(e.then), d(e.else)];
      return isNumber(a, 0) && isNumber(b, 0) ? a : select(e.if, a, b);
    }
    case "binary":
      switch (e.f) {
        case "+":
        case "-":
          return binary(e.f, d(e.a), d(e.b));
        case "*":
          return plus(times(d(e.a), e.b), times(e.a, d(e.b)));
        case "/":
          return minus(over(d(e.a), e.b), over(times(e.a, d(e.b)), times(e.b, e.b)));
        case "min":
          return select(atMost(e.a, e.b), d(e.a), d(e.b));
        case "max":
          return select(atMost(e.b, e.a), d(e.a), d(e.b));
        default:
          return wrap(0);
      }
  }
}

/** The expressions that an expression is made of. */
function partsOf(e: Expression): readonly Expression[] {
  switch (e.kind) {
    case "number":
    case "variable":
      return [];
    case "unary":
      return [e.x];
    case "binary":
      return [e.a, e.b];
    case "select":
      return [e.if, e.then, e.else];
    case "lookup":
      return e.indices;
  }
}

/** Names of the variables that an expression uses. */
export function variablesOf(e: Expression): Set<string> {
  if (e.kind === "variable") return new Set([e.name]);
  return new Set(partsOf(e).flatMap((part) => [...variablesOf(part)]));
}

/** A lookup inside an expression. */
export type Lookup = Extract<Expression, { kind: "lookup" }>;

/** The lookups of an expression, each once, those inside indices too. */
export function lookupsOf(e: Expression): Lookup[] {
  const found = new Map<string, Lookup>();
  const visit = (x: Expression): void => {
    partsOf(x).forEach(visit);
    if (x.kind === "lookup") found.set(toWgsl(x), x);
  };
  visit(e);
  return [...found.values()];
}

/** The expression with some of its parts replaced: where `change` gives nothing, the part is kept. */
export function replace(e: Expression, change: (part: Expression) => Expression | undefined): Expression {
  const changed = change(e);
  if (changed) return changed;
  const go = (x: Expression) => replace(x, change);
  switch (e.kind) {
    case "number":
    case "variable":
      return e;
    case "unary":
      return fold({ ...e, x: go(e.x) });
    case "binary":
      return fold({ ...e, a: go(e.a), b: go(e.b) });
    case "select":
      return select(go(e.if), go(e.then), go(e.else));
    case "lookup":
      return { ...e, indices: e.indices.map(go) };
  }
}

/** The expression with a variable replaced by another expression. */
export function substitute(e: Expression, name: string, by: Term): Expression {
  return replace(e, (part) => part.kind === "variable" && part.name === name ? wrap(by) : undefined);
}

/** The expression as WGSL text over f32 variables of the same names; needs `WGSL_FUNCTIONS` beside it. */
export function toWgsl(e: Expression): string {
  switch (e.kind) {
    case "number":
      return wgslNumber(e.value);
    case "variable":
      return e.name;
    case "unary":
      if (e.f === "neg") return `(-${toWgsl(e.x)})`;
      return `${
        ({ tanh: "safe_tanh", sigmoid: "logistic", erf: "erf" } as Record<string, string>)[e.f] ?? e.f
      }(${toWgsl(e.x)})`;
    case "binary": {
      const [a, b] = [toWgsl(e.a), toWgsl(e.b)];
      if (e.f === "min" || e.f === "max") return `${e.f}(${a}, ${b})`;
      if (e.f === "<" || e.f === "<=" || e.f === "==") return `select(0f, 1f, ${a} ${e.f} ${b})`;
      return `(${a} ${e.f} ${b})`;
    }
    case "select":
      return `select(${toWgsl(e.else)}, ${toWgsl(e.then)}, ${toWgsl(e.if)} != 0f)`;
    case "lookup":
      return `${e.table}[${flatIndex(e, (x) => `u32(${toWgsl(x)})`, "u")}]`;
  }
}

/** ((i0 * n1 + i1) * n2 + i2), over the text that each index gives. */
function flatIndex({ shape, indices }: Lookup, text: (x: Expression) => string, suffix = ""): string {
  return indices.map(text).reduce((sum, index, k) => `(${sum} * ${shape[k]}${suffix} + ${index})`);
}

function wgslNumber(value: number): string {
  const bounded = Math.min(Math.max(value, -3.4028234e38), 3.4028234e38);
  return bounded < 0 ? `(-${Math.fround(-bounded)}f)` : `${Math.fround(bounded)}f`;
}

/** WGSL functions that expressions call; insert them into a template that takes an expression. */
export const WGSL_FUNCTIONS = `
fn logistic(x: f32) -> f32 { return 1f / (1f + exp(min(-x, 80f))); }
fn safe_tanh(x: f32) -> f32 { return 1f - 2f / (exp(2f * clamp(x, -15f, 15f)) + 1f); }
// Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7.
fn erf(x: f32) -> f32 {
  let t = 1f / (1f + 0.3275911f * abs(x));
  let p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  return sign(x) * (1f - p * exp(-x * x));
}
`;

function toJavaScript(e: Expression): string {
  switch (e.kind) {
    case "number":
      return e.value < 0 || Object.is(e.value, -0) ? `(${e.value})` : String(e.value);
    case "variable":
      return e.name;
    case "unary":
      return `f.${e.f}(${toJavaScript(e.x)})`;
    case "binary": {
      const [a, b] = [toJavaScript(e.a), toJavaScript(e.b)];
      return /[a-z]/.test(e.f)
        ? `Math.${e.f}(${a}, ${b})`
        : e.f.match(/[<=]/)
        ? `Number(${a} ${e.f} ${b})`
        : `(${a} ${e.f} ${b})`;
    }
    case "lookup":
      return `${e.table}[${flatIndex(e, (x) => `Math.trunc(${toJavaScript(x)})`)}]`;
    case "select":
      return `(${toJavaScript(e.if)} !== 0 ? ${toJavaScript(e.then)} : ${toJavaScript(e.else)})`;
  }
}

/** What a compiled expression is called with: a number for each variable, an array for each table. */
export type Argument = number | ArrayLike<number>;

const compiled = new Map<string, (...values: Argument[]) => number>();

/**
 * The expression as a function of the named variables, and of tables by their names, in float64.
 *
 * @example
 * ```ts
 * import { derivative, tanh, toFunction, variable } from "./expression.ts";
 * const slope = toFunction(derivative(tanh(variable("x")), "x"), ["x"]);
 * slope(0); // 1
 * ```
 */
export function toFunction(e: Expression, names: readonly string[]): (...values: Argument[]) => number {
  const body = toJavaScript(e);
  const key = `${names.join(",")}:${body}`;
  let made = compiled.get(key);
  if (!made) {
    // The text is made of our own words and numbers alone; a closure tree would be several times slower.
    made = new Function("f", `return (${names.join(", ")}) => ${body};`)(HOST) as (
      ...values: Argument[]
    ) => number;
    compiled.set(key, made);
  }
  return made;
}
