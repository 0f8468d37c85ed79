// Writes WebAssembly code that computes an expression for four values at once. A subexpression that occurs more than once is
// computed once.
import { f32x4, type Func, i32x4, type V128, v128 } from "../../src/wasm/mod.ts";
import {
  type Binary,
  entryAt,
  type Expression,
  expressionKey,
  type Lookup,
  partsOf,
  type Unary,
} from "./expression.ts";
import { erf, exp, log, onePlusErf, sigmoid, tanh, type VectorFunction } from "./vector_functions.ts";

const UNARY: Readonly<Record<Unary, VectorFunction>> = {
  neg: (_, x) => f32x4.neg(x),
  abs: (_, x) => f32x4.abs(x),
  sqrt: (_, x) => f32x4.sqrt(x),
  floor: (_, x) => f32x4.floor(x),
  ...{ exp, log, tanh, sigmoid, erf },
};

const ARITHMETIC = { "+": f32x4.add, "-": f32x4.sub, "*": f32x4.mul, "/": f32x4.div } as const;
const EXTREMES = { min: [f32x4.min, f32x4.pmin], max: [f32x4.max, f32x4.pmax] } as const;
const COMPARISONS = { "<": f32x4.lt, "<=": f32x4.le, "==": f32x4.eq } as const;

type Comparison = keyof typeof COMPARISONS;
const isComparison = (f: Binary): f is Comparison => f in COMPARISONS;

/** Values of the variables, keyed by name. */
export type VectorVariables = Readonly<Record<string, V128>>;
/** Functions that read the entries of a table at four flat indices (valid integers), keyed by the table's name. */
export type VectorTables = Readonly<Record<string, (flatIndex: V128) => V128>>;

/**
 * Writes the code that computes an expression in each lane. Up to rounding, the values are those of JavaScript, including
 * NaN and infinities. A product that is added or subtracted becomes one multiply-add.
 *
 * @returns the code that computes the value. Store the value in a local variable (`f.let`) if it is used more than once
 */
export function toWasm(e: Expression, f: Func, variables: VectorVariables, tables: VectorTables = {}): V128 {
  return writer(e, f, variables, tables).value(e);
}

/**
 * Like `toWasm`, but returns a mask: the bits of a lane are all ones if the expression is not 0 there (NaN included), else all
 * zeros.
 */
export function toWasmCondition(
  e: Expression,
  f: Func,
  variables: VectorVariables,
  tables: VectorTables = {},
): V128 {
  return writer(e, f, variables, tables).holds(e);
}

/**
 * Returns the number of times that each subexpression occurs as a part of distinct subexpressions, keyed by `expressionKey`.
 */
function usesOf(e: Expression): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  const visit = (x: Expression): void => {
    const key = expressionKey(x);
    const before = uses.get(key) ?? 0;
    uses.set(key, before + 1);
    if (before === 0) partsOf(x).forEach(visit);
  };
  visit(e);
  return uses;
}

function writer(root: Expression, f: Func, variables: VectorVariables, tables: VectorTables) {
  const uses = usesOf(root);
  const isShared = (e: Expression): boolean => uses.get(expressionKey(e))! > 1;
  const kept = new Map<string, V128>();
  /**
   * Returns the result of `write`. If the subexpression `e` occurs more than once, the result is stored in a local variable,
   * and later calls return that variable.
   */
  const once = (e: Expression, write: () => V128): V128 => {
    const key = expressionKey(e);
    const known = kept.get(key);
    if (known) return known;
    const value = write();
    if (e.kind === "number" || !isShared(e)) return value;
    const local = f.let(value);
    kept.set(key, local);
    return local;
  };
  /**
   * Returns the operands of a product, or undefined for other expressions and for a product that is stored in a local
   * variable.
   */
  const factors = (e: Expression): [V128, V128] | undefined =>
    e.kind === "binary" && e.f === "*" && !isShared(e) ? [value(e.a), value(e.b)] : undefined;

  function binary({ f: op, a, b }: Extract<Expression, { kind: "binary" }>): V128 {
    const isOne = a.kind === "number" && a.value === 1;
    if (op === "+" && isOne && b.kind === "unary" && b.f === "erf" && !isShared(b)) {
      return onePlusErf(f, value(b.x));
    }
    if (op === "+" || op === "-") {
      const right = factors(b);
      if (right) return (op === "+" ? f32x4.madd : f32x4.nmadd)(...right, value(a));
      const left = op === "+" ? factors(a) : undefined;
      if (left) return f32x4.madd(...left, value(b));
    }
    if (op === "min" || op === "max") {
      // The faster instruction handles NaN only in its left operand, so the constant must be on the right.
      const [exact, fast] = EXTREMES[op];
      if (b.kind === "number" && !Number.isNaN(b.value)) return fast(value(a), value(b));
      if (a.kind === "number" && !Number.isNaN(a.value)) return fast(value(b), value(a));
      return exact(value(a), value(b));
    }
    return ARITHMETIC[op as keyof typeof ARITHMETIC](value(a), value(b));
  }

  function lookup({ table, shape, indices }: Lookup): V128 {
    const entry = (x: Expression, size: number): V128 => {
      if (size === 1) return i32x4.splat(0);
      if (x.kind === "number") return i32x4.splat(entryAt(x.value, size));
      // The conversion rounds towards zero and turns NaN into 0.
      return i32x4.minS(i32x4.maxS(i32x4.truncS(value(x)), 0), size - 1);
    };
    const flat = indices.map((x, k) => entry(x, shape[k])).reduce((sum, index, k) =>
      i32x4.add(i32x4.mul(sum, shape[k]), index)
    );
    return tables[table](f.let(flat));
  }

  function value(e: Expression): V128 {
    if (e.kind === "number") return f32x4.splat(e.value);
    if (e.kind === "binary" && isComparison(e.f)) return v128.and(holds(e), f32x4.splat(1));
    return once(e, () => {
      switch (e.kind) {
        case "variable":
          return variables[e.name];
        case "unary":
          return UNARY[e.f](f, value(e.x));
        case "binary":
          return binary(e);
        case "lookup":
          return lookup(e);
        case "select":
          return v128.select(holds(e.if), value(e.then), value(e.else));
      }
    });
  }

  /** Returns a mask of the lanes in which an expression is not 0. */
  function holds(e: Expression): V128 {
    if (e.kind !== "binary" || !isComparison(e.f)) return f32x4.ne(value(e), 0);
    const compare = COMPARISONS[e.f];
    return once(e, () => compare(value(e.a), value(e.b)));
  }

  return { value, holds };
}
