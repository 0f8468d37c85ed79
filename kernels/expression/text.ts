// Expressions as text, such as "score - slope[h] * (i - j)". `parseExpression` parses text into a tree of type `Expression` by
// precedence climbing. `formatExpression` prints a tree as text that parses to the same tree.
import { closestString, UserError } from "../../src/base/errors.ts";
import * as e from "./expression.ts";
import type { Expression } from "./expression.ts";

/** Names that an expression may contain. */
export interface ExpressionNames {
  /** Names of variables. Default: all names are allowed. */
  readonly variables?: readonly string[];
  /** Shapes of the tables, keyed by name. Default: there are no tables. */
  readonly tables?: Readonly<Record<string, readonly number[]>>;
  /** Name with which error messages start. Default: "expression". */
  readonly what?: string;
}

/**
 * Returns x^y. If |y| is a constant integer, x^|y| is a product; if |y| is a constant half-integer, a product times sqrt(x).
 * For any other y, and if |y| exceeds `MOST_FACTORS`, x^y is e^(y ln x), which is NaN for x < 0.
 */
function power(x: Expression, y: Expression): Expression {
  if (y.kind !== "number") return e.exp(e.times(y, e.log(x)));
  const size = Math.abs(y.value);
  if (y.value < 0) return e.over(1, power(x, { kind: "number", value: size }));
  const factors = Math.floor(size);
  if (size > MOST_FACTORS || (size !== factors && size !== factors + 0.5)) {
    return e.select(e.equal(x, 0), 0, e.exp(e.times(size, e.log(x))));
  }
  const product = Array.from({ length: factors }, () => x).reduce(e.times, { kind: "number", value: 1 });
  return size === factors ? product : e.times(product, e.sqrt(x));
}

/** The largest exponent for which a power is computed as a product. */
const MOST_FACTORS = 16;

const sign = (x: Expression): Expression => e.select(e.less(0, x), 1, e.select(e.less(x, 0), -1, 0));

interface Operation {
  /** Number of arguments, or the minimum number if `more` is set. */
  readonly count: number;
  readonly more?: true;
  readonly of: (...x: Expression[]) => Expression;
}

const FUNCTIONS: Readonly<Record<string, Operation>> = {
  exp: { count: 1, of: e.exp },
  log: { count: 1, of: e.log },
  tanh: { count: 1, of: e.tanh },
  sigmoid: { count: 1, of: e.sigmoid },
  sqrt: { count: 1, of: e.sqrt },
  abs: { count: 1, of: e.absolute },
  floor: { count: 1, of: e.floor },
  ceil: { count: 1, of: (x) => e.negative(e.floor(e.negative(x))) },
  round: { count: 1, of: (x) => e.floor(e.plus(x, 0.5)) },
  sign: { count: 1, of: sign },
  erf: { count: 1, of: e.errorFunction },
  relu: { count: 1, of: (x) => e.max(0, x) },
  min: { count: 2, more: true, of: (...x) => x.reduce(e.min) },
  max: { count: 2, more: true, of: (...x) => x.reduce(e.max) },
  pow: { count: 2, of: power },
  clamp: { count: 3, of: (x, low, high) => e.min(e.max(x, low), high) },
  where: { count: 3, of: e.select },
};

const CONSTANTS: Readonly<Record<string, number>> = { NaN, Infinity, pi: Math.PI };

interface Infix {
  /** Precedence of the operator. An operator with a higher precedence binds tighter. */
  readonly power: number;
  readonly right?: true;
  readonly of: (a: Expression, b: Expression) => Expression;
}

const not = (x: Expression): Expression => e.equal(x, 0);

const INFIX: Readonly<Record<string, Infix>> = {
  "||": { power: 2, of: (a, b) => e.select(a, 1, b) },
  "&&": { power: 3, of: (a, b) => e.select(a, b, 0) },
  "==": { power: 4, of: e.equal },
  "!=": { power: 4, of: (a, b) => not(e.equal(a, b)) },
  "<": { power: 5, of: e.less },
  "<=": { power: 5, of: e.atMost },
  ">": { power: 5, of: (a, b) => e.less(b, a) },
  ">=": { power: 5, of: (a, b) => e.atMost(b, a) },
  "+": { power: 6, of: e.plus },
  "-": { power: 6, of: e.minus },
  "*": { power: 7, of: e.times },
  "/": { power: 7, of: e.over },
  "**": { power: 9, right: true, of: power },
};
const CONDITION = 1;
const PREFIX = 8;

const TOKEN =
  /\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\*\*|&&|\|\||[<>=!]=|[-+*/<>!?:,()[\]]))/y;

interface Token {
  readonly kind: "number" | "name" | "sign" | "end";
  readonly text: string;
  /** 0-based index of the token's first character. */
  readonly at: number;
}

/** Maximum nesting depth of parentheses, calls, conditions and signs; a deeper expression could overflow the stack. */
const MOST_NESTED = 200;

/** Maximum number of characters in an expression. Compiling the kernel of a longer expression could exhaust memory. */
const MOST_CHARACTERS = 4_000;

function tokensOf(text: string, fail: (at: number, message: string) => never): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  for (let at = 0; at < end;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) {
      const bad = at + text.slice(at).search(/\S/);
      const [character] = text.slice(bad);
      return fail(bad, `unexpected ${JSON.stringify(character)}${HINTS[character] ?? ""}.`);
    }
    const [all, number, name, sign] = match;
    const symbol = number ?? name ?? sign;
    const kind = number !== undefined ? "number" : name !== undefined ? "name" : "sign";
    tokens.push({ kind, text: symbol, at: at + all.length - symbol.length });
    at += all.length;
  }
  tokens.push({ kind: "end", text: "", at: end });
  return tokens;
}

const HINTS: Readonly<Record<string, string>> = {
  "^": "; a power is x ** y or pow(x, y)",
  "=": "; equal is ==",
  "&": "; and is &&",
  "|": "; or is ||",
};

/**
 * Parses an expression. It may contain numbers, `NaN`, `Infinity` and `pi`; variables; table entries such as
 * `bias[h, i - j]` (a table with a single entry needs no index); `+ - * / **`, comparisons (which give 1 or 0), `&& || !`
 * and `condition ? a : b`; and the functions exp, log, tanh, sigmoid, sqrt, abs, floor, ceil, round, sign, erf, relu, min,
 * max, pow, clamp(x, low, high) and where(condition, a, b). Operators have the same precedence as in JavaScript. The
 * derivative of ceil, round, floor and comparisons is 0.
 *
 * @throws {UserError} if the text is not an expression. The message gives the column, counted from 1. If a name is unknown,
 * the message suggests a similar name
 *
 * @example
 * ```ts
 * import { parseExpression } from "./text.ts";
 * import { toFunction } from "./expression.ts";
 * toFunction(parseExpression("max(0, x) ** 2"), ["x"])(3); // 9
 * ```
 */
export function parseExpression(text: string, names: ExpressionNames = {}): Expression {
  const { variables, tables = {}, what = "expression" } = names;
  const fail = (at: number, message: string): never => {
    const from = Math.max(0, at - 40);
    const shown = text.length <= 80 ? text : `${from > 0 ? "..." : ""}${text.slice(from, from + 80)}...`;
    throw new UserError(`${what}: ${JSON.stringify(shown)}, column ${at + 1}: ${message}`);
  };
  if (text.length > MOST_CHARACTERS) {
    fail(MOST_CHARACTERS, `expected at most ${MOST_CHARACTERS} characters, found ${text.length}.`);
  }
  const tokens = tokensOf(text, fail);
  let next = 0;
  let depth = 0;
  const peek = () => tokens[next];
  const isSign = (text: string) => peek().kind === "sign" && peek().text === text;
  const unexpected = (expected: string): never => {
    const { kind, text, at } = peek();
    return fail(at, `expected ${expected}, found ${kind === "end" ? "the end" : JSON.stringify(text)}.`);
  };
  const take = (text: string, expected = `"${text}"`) => isSign(text) ? next++ : unexpected(expected);

  function list(close: string): Expression[] {
    const items: Expression[] = [];
    if (!isSign(close)) {
      do items.push(expression(0)); while (isSign(",") && ++next);
    }
    take(close, `"," or "${close}"`);
    return items;
  }

  function unknown(at: number, kind: string, name: string, known: readonly string[]): never {
    const near = closestString(name, known);
    const hint = near === undefined ? `Known: ${known.join(", ") || "none"}` : `Did you mean "${near}"`;
    return fail(at, `unknown ${kind} ${JSON.stringify(name)}. ${hint}${near === undefined ? "." : "?"}`);
  }

  function call({ text: name, at }: Token): Expression {
    if (!Object.hasOwn(FUNCTIONS, name)) unknown(at, "function", name, Object.keys(FUNCTIONS));
    next++;
    const x = list(")");
    const { count, more, of } = FUNCTIONS[name];
    if (x.length === count || (more && x.length > count)) return of(...x);
    return fail(at, `${name} takes ${count}${more ? " or more" : ""} arguments, found ${x.length}.`);
  }

  function entry({ text: name, at }: Token): Expression {
    if (!Object.hasOwn(tables, name)) unknown(at, "table", name, Object.keys(tables));
    next++;
    const indices = list("]");
    const shape = tables[name];
    if (indices.length === shape.length) return e.lookup(name, shape, ...indices);
    return fail(at, `table ${name} has ${shape.length} dimensions, found ${indices.length} indices.`);
  }

  function named(token: Token): Expression {
    const { text: name, at } = token;
    if (isSign("(")) return call(token);
    if (isSign("[")) return entry(token);
    if (Object.hasOwn(tables, name)) {
      const shape = tables[name];
      if (shape.every((n) => n === 1)) return e.lookup(name, shape, ...shape.map(() => 0));
      return fail(at, `table ${name} is [${shape.join(", ")}], expected an entry of it, ${name}[...].`);
    }
    if (variables && !variables.includes(name)) {
      if (Object.hasOwn(CONSTANTS, name)) return { kind: "number", value: CONSTANTS[name] };
      return unknown(at, "variable", name, [...variables, ...Object.keys(tables)]);
    }
    if (!variables && Object.hasOwn(CONSTANTS, name)) return { kind: "number", value: CONSTANTS[name] };
    return e.variable(name);
  }

  function operand(): Expression {
    const token = peek();
    if (token.kind === "number") {
      next++;
      return { kind: "number", value: Number(token.text) };
    }
    if (token.kind === "name") {
      next++;
      return named(token);
    }
    for (const [sign, of] of Object.entries({ "-": e.negative, "+": (x: Expression) => x, "!": not })) {
      if (!isSign(sign)) continue;
      next++;
      return of(expression(PREFIX));
    }
    if (!isSign("(")) unexpected("a number, a name or (");
    next++;
    const inner = expression(0);
    take(")");
    return inner;
  }

  /** Parses an expression up to the first operator whose precedence is at most `least`. */
  function expression(least: number): Expression {
    if (++depth > MOST_NESTED) fail(peek().at, `nested more than ${MOST_NESTED} deep.`);
    let left = operand();
    while (peek().kind === "sign") {
      if (isSign("?") && least < CONDITION) {
        next++;
        const then = expression(0);
        take(":");
        left = e.select(left, then, expression(0));
        continue;
      }
      const infix = Object.hasOwn(INFIX, peek().text) ? INFIX[peek().text] : undefined;
      if (!infix || infix.power <= least) break;
      next++;
      left = infix.of(left, expression(infix.right ? infix.power - 1 : infix.power));
    }
    depth--;
    return left;
  }

  const parsed = expression(0);
  if (peek().kind !== "end") unexpected("an operator or the end");
  return parsed;
}

/**
 * Returns the precedence of the outermost operator in a printed expression, or Infinity if the expression never needs
 * parentheses.
 */
function powerOf(x: Expression): number {
  if (x.kind === "select") return CONDITION;
  if (x.kind === "binary") return INFIX[x.f]?.power ?? Infinity;
  if (x.kind === "unary") return x.f === "neg" ? PREFIX : Infinity;
  return x.kind === "number" && (x.value < 0 || Object.is(x.value, -0)) ? PREFIX : Infinity;
}

/**
 * Formats an expression as text that `parseExpression` parses to the same tree.
 *
 * @example
 * ```ts
 * import { formatExpression, parseExpression } from "./text.ts";
 * formatExpression(parseExpression("(score) - (2*(i-j))")); // "score - 2 * (i - j)"
 * ```
 */
export function formatExpression(x: Expression): string {
  const inside = (part: Expression, least: number): string =>
    powerOf(part) > least ? formatExpression(part) : `(${formatExpression(part)})`;
  switch (x.kind) {
    case "number":
      return Object.is(x.value, -0) ? "-0" : String(x.value);
    case "variable":
      return x.name;
    case "unary":
      return x.f === "neg" ? `-${inside(x.x, PREFIX)}` : `${x.f}(${formatExpression(x.x)})`;
    case "binary": {
      const infix = INFIX[x.f];
      if (!infix) return `${x.f}(${formatExpression(x.a)}, ${formatExpression(x.b)})`;
      return `${inside(x.a, infix.power - 1)} ${x.f} ${inside(x.b, infix.power)}`;
    }
    case "select":
      return `${inside(x.if, CONDITION)} ? ${formatExpression(x.then)} : ${formatExpression(x.else)}`;
    case "lookup":
      return `${x.table}[${x.indices.map(formatExpression).join(", ")}]`;
  }
}
