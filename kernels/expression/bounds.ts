// Interval arithmetic on expressions: computes a range that contains all values of an expression, given an interval for each
// variable. The range of a mask shows which tiles of an attention matrix the mask hides or keeps as a whole, without
// evaluating the mask for every pair.
import { type Binary, entryAt, type Expression, type Lookup, toFunction, type Unary } from "./expression.ts";

/** An interval, both ends included. */
export type Bounds = readonly [low: number, high: number];

/** Values of the tables, keyed by name; undefined if the host does not have them. */
export type TableValues = Readonly<Record<string, ArrayLike<number> | undefined>>;

/** Any value, including NaN. Comparisons with these bounds are all false, so that nothing is inferred from them. */
const ANY: Bounds = [NaN, NaN];
/**
 * Maximum number of table entries that are searched for their minimum and maximum. A larger part of a table is treated as
 * unbounded.
 */
const MOST_ENTRIES = 1 << 16;

const isAny = ([a, b]: Bounds): boolean => Number.isNaN(a) || Number.isNaN(b);

function unaryBounds(f: Unary, x: Bounds): Bounds {
  const [a, b] = x;
  if (isAny(x)) return ANY;
  switch (f) {
    case "neg":
      return [-b, -a];
    case "abs":
      return a >= 0 ? x : b <= 0 ? [-b, -a] : [0, Math.max(-a, b)];
    case "log":
    case "sqrt":
      return a < 0 ? ANY : [Math[f](a), Math[f](b)];
    default: {
      // exp, tanh, sigmoid, floor and erf are monotone.
      const value = toFunction({ kind: "unary", f, x: { kind: "variable", name: "x" } }, ["x"]);
      return [value(a), value(b)];
    }
  }
}

function binaryBounds(f: Binary, a: Bounds, b: Bounds): Bounds {
  // Infinities may give NaN (infinity minus infinity, 0 times infinity): bounds are computed only if all ends are finite.
  const corners = (g: (x: number, y: number) => number): Bounds => {
    if (![...a, ...b].every(Number.isFinite)) return ANY;
    const values = a.flatMap((x) => b.map((y) => g(x, y)));
    return [Math.min(...values), Math.max(...values)];
  };
  const truth = (always: boolean, never: boolean): Bounds => always ? [1, 1] : never ? [0, 0] : [0, 1];
  switch (f) {
    case "+":
      return corners((x, y) => x + y);
    case "-":
      return corners((x, y) => x - y);
    case "*":
      return corners((x, y) => x * y);
    case "/":
      return b[0] <= 0 && b[1] >= 0 ? ANY : corners((x, y) => x / y);
    case "min":
      return [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
    case "max":
      return [Math.max(a[0], b[0]), Math.max(a[1], b[1])];
    case "<":
      return truth(a[1] < b[0], a[0] >= b[1]);
    case "<=":
      return truth(a[1] <= b[0], a[0] > b[1]);
    case "==":
      return truth(a[0] === a[1] && b[0] === b[1] && a[0] === b[0], a[1] < b[0] || b[1] < a[0]);
  }
}

function lookupBounds(
  { table, shape, indices }: Lookup,
  box: Readonly<Record<string, Bounds>>,
  tables: TableValues,
): Bounds {
  const values = tables[table];
  const ranges = indices.map((index, k): Bounds => {
    const range = bounds(index, box, tables);
    if (isAny(range)) return [0, shape[k] - 1];
    return [entryAt(range[0], shape[k]), entryAt(range[1], shape[k])];
  });
  const entries = ranges.reduce((count, [low, high]) => count * (high - low + 1), 1);
  if (!values || entries > MOST_ENTRIES) return ANY;
  let [least, most] = [Infinity, -Infinity];
  const visit = (k: number, at: number): void => {
    if (k === shape.length) {
      least = Math.min(least, values[at]);
      most = Math.max(most, values[at]);
      return;
    }
    for (let i = ranges[k][0]; i <= ranges[k][1]; i++) visit(k + 1, at * shape[k] + i);
  };
  visit(0, 0);
  return [least, most];
}

/**
 * Returns bounds on the values of an expression whose variables lie in the intervals of `box`. The bounds may be wider than
 * necessary if a variable occurs more than once.
 *
 * @example
 * ```ts
 * import { bounds } from "./bounds.ts";
 * import { atMost, variable } from "./expression.ts";
 * bounds(atMost(variable("j"), variable("i")), { i: [32, 63], j: [0, 31] }); // [1, 1]: always true
 * ```
 */
export function bounds(
  e: Expression,
  box: Readonly<Record<string, Bounds>>,
  tables: TableValues = {},
): Bounds {
  switch (e.kind) {
    case "number":
      return [e.value, e.value];
    case "variable":
      return box[e.name] ?? ANY;
    case "unary":
      return unaryBounds(e.f, bounds(e.x, box, tables));
    case "binary":
      return binaryBounds(e.f, bounds(e.a, box, tables), bounds(e.b, box, tables));
    case "lookup":
      return lookupBounds(e, box, tables);
    case "select": {
      const [low, high] = bounds(e.if, box, tables);
      const [a, b] = [bounds(e.then, box, tables), bounds(e.else, box, tables)];
      if (low > 0 || high < 0) return a;
      if (low === 0 && high === 0) return b;
      return [Math.min(a[0], b[0]), Math.max(a[1], b[1])];
    }
  }
}
