// A small language of scalar expressions. WGSL (wgsl.ts), WebAssembly (wasm.ts), a JavaScript function and the derivative are
// generated from an expression, so that no derivative is written by hand. Activations, element-wise operations, epilogues and
// attention's score modifiers are written in this language. Every device evaluates an expression as JavaScript does, NaN and
// infinities included; only the sign of a zero depends on the device.
import { UserError } from "../../src/base/errors.ts";
import { erf } from "./erf.ts";

/** Functions of one argument. */
export type Unary = "neg" | "exp" | "log" | "tanh" | "sigmoid" | "sqrt" | "abs" | "floor" | "erf";
/** Functions of two arguments. */
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

/** An expression, or a number used as one. */
export type Term = Expression | number;

const wrap = (x: Term): Expression => typeof x === "number" ? { kind: "number", value: x } : x;
const isNumber = (x: Expression, value?: number): boolean =>
  x.kind === "number" && (value === undefined || x.value === value);
const binary = (f: Binary, a: Term, b: Term): Expression =>
  fold({ kind: "binary", f, a: wrap(a), b: wrap(b) });
const unary = (f: Unary, x: Term): Expression => fold({ kind: "unary", f, x: wrap(x) });

/** The variable with this name. */
export const variable = (name: string): Expression => ({ kind: "variable", name });
/** a + b */
export const plus = (a: Term, b: Term): Expression => binary("+", a, b);
/** a - b */
export const minus = (a: Term, b: Term): Expression => binary("-", a, b);
/** a b */
export const times = (a: Term, b: Term): Expression => binary("*", a, b);
/** a / b */
export const over = (a: Term, b: Term): Expression => binary("/", a, b);
/** The smaller of a and b; where they are equal, the derivative is that of a. */
export const min = (a: Term, b: Term): Expression => binary("min", a, b);
/** The larger of a and b; where they are equal, the derivative is that of a. */
export const max = (a: Term, b: Term): Expression => binary("max", a, b);
/** 1 if a < b, else 0. */
export const less = (a: Term, b: Term): Expression => binary("<", a, b);
/** 1 if a <= b, else 0. */
export const atMost = (a: Term, b: Term): Expression => binary("<=", a, b);
/** 1 if a = b, else 0. */
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
/** The largest integer that is at most x; its derivative is defined as 0. */
export const floor = (x: Term): Expression => unary("floor", x);
/**
 * An entry of a table of the given shape. On every device, each index is rounded towards zero and clamped to its dimension:
 * NaN and negative indices read the first entry, and indices past the end read the last entry. The flat index is computed in
 * integers, because a table may have more entries than float32 can represent exactly.
 */
export const lookup = (table: string, shape: readonly number[], ...indices: Term[]): Expression => {
  if (indices.length !== shape.length) {
    throw new UserError(`Table ${table} has ${shape.length} dimensions, found ${indices.length} indices.`);
  }
  return { kind: "lookup", table, shape, indices: indices.map(wrap) };
};
/** The error function. */
export const errorFunction = (x: Term): Expression => unary("erf", x);
/** `then` if `condition` is not 0, else `otherwise`. */
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

/** Folds constants and applies identities that hold for every x. 0 * x is kept, because it is NaN if x is not finite. */
function fold(e: Expression): Expression {
  if (e.kind === "unary" && e.x.kind === "number") return wrap(HOST[e.f](e.x.value));
  if (e.kind !== "binary") return e;
  const { f, a, b } = e;
  if (a.kind === "number" && b.kind === "number") return wrap(HOST2[f](a.value, b.value));
  if ((f === "*" && isNumber(a, 1)) || (f === "+" && isNumber(a, 0))) return b;
  if (((f === "*" || f === "/") && isNumber(b, 1)) || ((f === "+" || f === "-") && isNumber(b, 0))) return a;
  if (f === "-" && isNumber(a, 0)) return unary("neg", b);
  if (f === "+" && a.kind === "variable" && b.kind === "variable" && a.name === b.name) return times(2, a);
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

/**
 * Returns the condition under which a derivative `d` is 0 because the selected branch does not depend on the variable. The
 * condition is the number 0 if it never holds, and the number 1 if it always holds.
 */
function zeroWhere(d: Expression): Expression {
  const [never, always] = [wrap(0), wrap(1)];
  if (d.kind === "number") return d.value === 0 ? always : never;
  if (d.kind === "unary" && d.f === "neg") return zeroWhere(d.x);
  if (d.kind === "select") {
    const [a, b] = [zeroWhere(d.then), zeroWhere(d.else)];
    return a.kind === "number" && isNumber(b, a.value) ? a : select(d.if, a, b);
  }
  if (d.kind === "binary" && (d.f === "+" || d.f === "-")) {
    const [a, b] = [zeroWhere(d.a), zeroWhere(d.b)];
    if (isNumber(a, 0) || isNumber(b, 1)) return a;
    return isNumber(b, 0) || isNumber(a, 1) ? b : select(a, b, 0);
  }
  return never;
}

/**
 * Multiplies a derivative d by a factor inside the branches of d's selects. The derivative of a branch that does not depend
 * on the variable thus stays 0 even if the factor is infinite, as in sqrt(max(0, x)) for x < 0.
 */
function scaled(d: Expression, factor: (d: Expression) => Expression): Expression {
  if (d.kind === "select") return select(d.if, scaled(d.then, factor), scaled(d.else, factor));
  const zero = zeroWhere(d);
  if (zero.kind === "number") return zero.value === 0 ? factor(d) : wrap(0);
  return select(zero, 0, factor(d));
}

/**
 * Returns the derivative de/dx as an expression, where x is the variable called `name`. Comparisons, conditions of selects and
 * lookups are treated as constants. A branch that does not depend on the variable has the derivative 0, even if the chain rule
 * multiplies it by an infinite factor.
 */
export function derivative(e: Expression, name: string): Expression {
  const d = (x: Expression) => derivative(x, name);
  switch (e.kind) {
    case "number":
      return wrap(0);
    case "lookup":
      return wrap(0);
    case "variable":
      return wrap(e.name === name ? 1 : 0);
    case "unary":
      return scaled(d(e.x), (inner) => times(unaryDerivative(e.f, e.x), inner));
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
          return plus(scaled(d(e.a), (x) => times(x, e.b)), scaled(d(e.b), (x) => times(e.a, x)));
        case "/":
          return minus(
            scaled(d(e.a), (x) => over(x, e.b)),
            scaled(d(e.b), (x) => over(times(e.a, x), times(e.b, e.b))),
          );
        case "min":
          return select(atMost(e.a, e.b), d(e.a), d(e.b));
        case "max":
          return select(atMost(e.b, e.a), d(e.a), d(e.b));
        default:
          return wrap(0);
      }
  }
}

/** The direct subexpressions of an expression. */
export function partsOf(e: Expression): readonly Expression[] {
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

/** The distinct lookups of an expression, including those inside indices. */
export function lookupsOf(e: Expression): Lookup[] {
  const lookups = new Map<string, Lookup>();
  const visit = (x: Expression): void => {
    partsOf(x).forEach(visit);
    if (x.kind === "lookup") lookups.set(toJavaScript(x), x);
  };
  visit(e);
  return [...lookups.values()];
}

/**
 * Replaces each subexpression for which `change` returns an expression. `change` is first called for the root; if it returns
 * undefined for a subexpression, it is called for the parts of that subexpression.
 */
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

/** Returns the expression in which the variable called `name` is replaced by another expression. */
export function substitute(e: Expression, name: string, by: Term): Expression {
  return replace(e, (part) => part.kind === "variable" && part.name === name ? wrap(by) : undefined);
}

/** Returns the text of the flat index of a lookup, such as ((i0 * n1 + i1) * n2 + i2). `text` returns the text of one index. */
export function flatIndex(
  { shape, indices }: Lookup,
  text: (x: Expression, size: number) => string,
  suffix = "",
): string {
  return indices.map((x, k) => text(x, shape[k])).reduce((sum, index, k) =>
    `(${sum} * ${shape[k]}${suffix} + ${index})`
  );
}

/** A string that identifies the expression: its JavaScript text. */
export const expressionKey = (e: Expression): string => toJavaScript(e);

/** True if two expressions have the same text. */
export const sameExpression = (a: Expression, b: Expression): boolean => toJavaScript(a) === toJavaScript(b);

/**
 * Returns the 0-based position that an index selects in a dimension of `size` entries. The index is rounded and clamped as in
 * `lookup`.
 */
export const entryAt = (index: number, size: number): number =>
  index >= 1 ? Math.min(Math.trunc(index), size - 1) : 0;

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
      return `${e.table}[${flatIndex(e, (x, size) => `f.entryAt(${toJavaScript(x)}, ${size})`)}]`;
    case "select":
      return `(${toJavaScript(e.if)} !== 0 ? ${toJavaScript(e.then)} : ${toJavaScript(e.else)})`;
  }
}

/** An argument of a compiled expression: a number for a variable, or an array of a table's entries in flat order. */
export type Argument = number | ArrayLike<number>;

const compiled = new Map<string, (...values: Argument[]) => number>();

/**
 * Compiles the expression to a function that computes in float64. Its parameters are the variables and tables in `names`, in
 * that order.
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
  let f = compiled.get(key);
  if (!f) {
    // The text contains only generated code and numbers; nested closures would be several times slower.
    f = new Function("f", `return (${names.join(", ")}) => ${body};`)({ ...HOST, entryAt }) as (
      ...values: Argument[]
    ) => number;
    compiled.set(key, f);
  }
  return f;
}
