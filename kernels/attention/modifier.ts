// Score modifiers, which change a score before the activation, and masks, which select the visible pairs. Each consists of an
// expression and the tables that it reads; users can write their own.
import { parseExpression } from "../expression/text.ts";
import { literal } from "../../src/graph/structure.ts";
import { sizeOf, type Tensor } from "../../src/graph/tensor.ts";
import { closestString, UserError } from "../../src/base/errors.ts";
import * as e from "../expression/expression.ts";
import type { Expression, Term } from "../expression/expression.ts";

/**
 * A function that changes the score of a pair, and the tables that it reads. b is the sample, h the head, j the key, and i the
 * position of the query among the keys: the query's row in the call, plus S - T if the call is aligned "bottom-right". `row` is
 * the query's row itself, from 0 to T - 1.
 * @category Attention
 */
export interface ScoreModifier {
  /** The new score, an expression in `score`, `b`, `h`, `i`, `j`, `row` and lookups. */
  readonly expression: Expression;
  /** The tables, keyed by the names that lookups use. Learned tables get gradients. */
  readonly tables: Readonly<Record<string, Tensor>>;
}

/** A pair (i, j) of sample b and head h is visible if the expression is not 0. i has the same meaning as in
 * {@link ScoreModifier}.
 * @category Attention */
export interface Mask {
  /** An expression in `b`, `h`, `i`, `j`, `row` and lookups. */
  readonly expression: Expression;
  /** The tables, keyed by the names that lookups use. */
  readonly tables: Readonly<Record<string, Tensor>>;
}

/** The variables of a score modifier. A mask has all of them except `score`. */
export const MODIFIER_NAMES: readonly string[] = ["score", "b", "h", "i", "j", "row"];
const [SCORE, B, H, I, J, ROW] = MODIFIER_NAMES.map(e.variable);

/** Returns an expression for the entry of a tensor at the given indices. */
function at(name: string, table: Tensor, ...indices: Term[]): Expression {
  return e.lookup(name, table.shape, ...indices);
}

/**
 * Creates a custom score modifier. The kernels, the CPU function and all derivatives are generated from the expression. A pair
 * for which it gives -Infinity is not visible, as if it were masked.
 *
 * @param expression the new score, as text or built with `expr`; it may use `score`, `b`, `h`, `i`, `j`, `row` and entries of
 *   `tables`. i and j are positions: a table indexed by i has one entry per position, a table indexed by `row` one per query
 *   of the call
 * @param tables tensors, keyed by name; a learned table is an ordinary parameter
 * @throws {UserError} for an unknown variable or table; the message suggests a similar name
 *
 * @example A learned penalty on distance, one slope per head
 * ```ts
 * import { masks, state } from "../../mod.ts";
 * const slope = state("slope", [4]);
 * const penalty = masks.modifier("score - slope[h] * (i - j)", { slope });
 * ```
 *
 * @category Attention
 */
export function modifier(
  expression: Expression | string,
  tables: Readonly<Record<string, Tensor>> = {},
): ScoreModifier {
  return { expression: checked("modifier", expression, tables, MODIFIER_NAMES), tables };
}

/**
 * Creates a custom mask: a pair is visible if the expression in `b`, `h`, `i`, `j`, `row` and entries of `tables` is not 0.
 *
 * @example
 * ```ts
 * import { masks } from "../../mod.ts";
 * const local = masks.mask("j <= i && i - j < 64");
 * ```
 *
 * @category Attention
 */
export function mask(expression: Expression | string, tables: Readonly<Record<string, Tensor>> = {}): Mask {
  return { expression: checked("mask", expression, tables, MODIFIER_NAMES.slice(1)), tables };
}

function checked(
  what: string,
  source: Expression | string,
  tables: Readonly<Record<string, Tensor>>,
  names: readonly string[],
): Expression {
  const shapes = Object.fromEntries(Object.entries(tables).map(([name, { shape }]) => [name, shape]));
  const expression = typeof source === "string"
    ? parseExpression(source, { variables: names, tables: shapes, what })
    : source;
  const hint = (name: string, known: readonly string[]) => {
    const near = closestString(name, known);
    return near === undefined ? ` Known: ${known.join(", ") || "none"}.` : ` Did you mean "${near}"?`;
  };
  const invalid = Object.keys(tables).find((name) => !/^[a-z]\w*$/i.test(name));
  if (invalid !== undefined) {
    throw new UserError(`${what}: "${invalid}" cannot name a table; use letters, digits and _.`);
  }
  for (const name of e.variablesOf(expression)) {
    if (!names.includes(name)) {
      throw new UserError(`${what}: unknown variable "${name}".${hint(name, names)}`);
    }
  }
  for (const { table, shape } of e.lookupsOf(expression)) {
    const tensor = tables[table];
    if (!tensor) throw new UserError(`${what}: unknown table "${table}".${hint(table, Object.keys(tables))}`);
    if (shape.join() !== tensor.shape.join()) {
      throw new UserError(
        `${what}: table "${table}" is [${tensor.shape.join(", ")}], the lookup has [${shape.join(", ")}].`,
      );
    }
  }
  return expression;
}

/** Merges the tables of several expressions. If tables of the same name differ, the later ones are renamed. */
export function merge(
  parts: readonly (ScoreModifier | Mask)[],
): { expressions: Expression[]; tables: Record<string, Tensor> } {
  const tables: Record<string, Tensor> = {};
  const expressions = parts.map((part) => {
    const renamed = new Map<string, string>();
    for (const [name, tensor] of Object.entries(part.tables)) {
      const same = Object.entries(tables).find(([, other]) => other === tensor)?.[0];
      let free = same ?? name;
      for (let k = 2; tables[free] !== undefined && tables[free] !== tensor; k++) free = `${name}_${k}`;
      tables[free] = tensor;
      renamed.set(name, free);
    }
    return withTables(part.expression, renamed);
  });
  return { expressions, tables };
}

/** Renames the tables of an expression, including those inside indices. */
function withTables(expression: Expression, names: ReadonlyMap<string, string>): Expression {
  return e.replace(expression, (x) => {
    if (x.kind !== "lookup") return undefined;
    return {
      ...x,
      table: names.get(x.table) ?? x.table,
      indices: x.indices.map((index) => withTables(index, names)),
    };
  });
}

/** Returns a modifier that applies the given modifiers in order: each gets the result of the previous modifier as its score. */
export function compose(...modifiers: readonly ScoreModifier[]): ScoreModifier {
  const { expressions, tables } = merge(modifiers);
  return {
    expression: expressions.reduce((before, after) => e.substitute(after, "score", before), SCORE),
    tables,
  };
}

/** Returns a mask under which a pair is visible if it is visible under all of the given masks. */
export function andMasks(...masks: readonly Mask[]): Mask {
  const { expressions, tables } = merge(masks);
  return { expression: expressions.reduce((a, b) => e.select(a, b, 0)), tables };
}

/** Returns a mask under which a pair is visible if it is visible under at least one of the given masks. */
export function orMasks(...masks: readonly Mask[]): Mask {
  const { expressions, tables } = merge(masks);
  return { expression: expressions.reduce((a, b) => e.select(a, 1, b)), tables };
}

/**
 * Rewrites an expression for the kernels, where i is the row of the query: the position i is replaced by i + `shift`, and
 * `row` by i.
 */
export function overRows(expression: Expression, shift: number): Expression {
  return e.replace(expression, (x) => {
    if (x.kind !== "variable") return undefined;
    return x.name === "i" ? e.plus(I, shift) : x.name === "row" ? I : undefined;
  });
}

/** Returns an expression for a number, or for a tensor [1] or [H] (one value per head). */
function perHead(name: string, x: Tensor | number): { term: Term; tables: Record<string, Tensor> } {
  if (typeof x === "number") return { term: x, tables: {} };
  if (x.shape.length !== 1) {
    throw new UserError(
      `${name}: expected a number, [1] or one per head [H], found [${x.shape.join(", ")}].`,
    );
  }
  return { term: at(name, x, sizeOf(x) === 1 ? 0 : H), tables: { [name]: x } };
}

/** Multiplies scores by e^tau, where tau is a number or a learned tensor [1] or [H] (one value per head). */
export function temperature(tau: Tensor | number): ScoreModifier {
  const { term, tables } = perHead("tau", tau);
  return { expression: e.times(SCORE, e.exp(term)), tables };
}

/** Adds b to scores, where b is a number or a learned tensor [1] or [H] (one value per head). */
export function scoreBias(b: Tensor | number): ScoreModifier {
  const { term, tables } = perHead("bias", b);
  return { expression: e.plus(SCORE, term), tables };
}

/** Caps scores softly: replaces each score s by c tanh(s / c) (Gemma 2, 2024). */
export function softcap(c: number): ScoreModifier {
  if (!(c > 0)) throw new UserError(`softcap: expected a number above 0, found ${c}.`);
  return { expression: e.times(c, e.tanh(e.over(SCORE, c))), tables: {} };
}

/**
 * Returns the slopes of ALiBi (Press et al. 2022): 2^(-8 h / H) for h = 1..H. If H is not a power of two, they are the slopes for
 * P heads, followed by every other slope for 2 P heads, where P is the largest power of two below H.
 */
export function alibiSlopes(heads: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopes = (n: number) => Array.from({ length: n }, (_, h) => 2 ** (-8 * (h + 1) / n));
  const more = slopes(2 * power).filter((_, h) => h % 2 === 0);
  return [...slopes(power), ...more].slice(0, heads);
}

/** Adds the ALiBi bias slope_h (j - i) to scores, with the slopes of `alibiSlopes` (Press et al. 2022). */
export function alibi(heads: number): ScoreModifier {
  const slopes = literal(Float32Array.from(alibiSlopes(heads)), [heads]);
  const term = e.times(at("alibi", slopes, H), e.minus(J, I));
  return { expression: e.plus(SCORE, term), tables: { alibi: slopes } };
}

/** The causal mask, j <= i. The option `causal` of `attention` is faster. */
export const causalMask: Mask = { expression: e.atMost(J, I), tables: {} };

/** Returns a mask that shows only learned keys (see the option `extra`), which follow the `sequence` keys that have positions. */
export const extraKeys = (sequence: number): Mask => mask(e.atMost(sequence, J));

/** Hides the keys that are at least `size` positions behind the query and, if `symmetric`, at least `size` positions ahead. */
export function windowMask(
  { size, symmetric }: { readonly size: number; readonly symmetric?: boolean },
): Mask {
  const behind = mask(e.less(e.minus(I, J), size));
  return symmetric ? andMasks(behind, mask(e.less(e.minus(J, I), size))) : behind;
}

/** Shows the first p keys. For a prefix LM, combine it with another mask by `orMasks`. */
export function prefixMask(p: number): Mask {
  return { expression: e.less(J, p), tables: {} };
}

/** Shows pairs in the same document. `queries` [B, T] and `keys` [B, S] hold document ids; `keys` defaults to `queries`. */
export function documentMask(queries: Tensor, keys: Tensor = queries): Mask {
  const tables = { query_document: queries, key_document: keys };
  return {
    expression: e.equal(at("query_document", queries, B, ROW), at("key_document", keys, B, J)),
    tables,
  };
}

/** Hides padding: `valid` [B, S] is 0 where key j of sample b is padding, and not 0 elsewhere. */
export function keyPaddingMask(valid: Tensor): Mask {
  if (valid.shape.length !== 2) {
    throw new UserError(`keyPaddingMask: expected [B, S], found [${valid.shape.join(", ")}].`);
  }
  return { expression: e.less(0, e.absolute(at("key_valid", valid, B, J))), tables: { key_valid: valid } };
}

/** Shows keys 0 to lengths[b] - 1 of sample b, for a batch of sequences of different lengths; `lengths` is [B]. */
export function keyLengths(lengths: Tensor): Mask {
  return { expression: e.less(J, at("key_length", lengths, B)), tables: { key_length: lengths } };
}

/**
 * Shows the pairs whose entry in `visible` is not 0. `visible` is [T, S], [H, T, S] or [B, H, T, S], with one row per query of
 * the call; dimensions of size 1 are broadcast.
 */
export function booleanMask(visible: Tensor): Mask {
  const { shape } = visible;
  if (shape.length < 2 || shape.length > 4) {
    throw new UserError(
      `booleanMask: expected [T, S], [H, T, S] or [B, H, T, S], found [${shape.join(", ")}].`,
    );
  }
  const indices = [B, H, ROW, J].slice(4 - shape.length).map((index, k) => shape[k] === 1 ? 0 : index);
  return { expression: e.less(0, e.absolute(at("visible", visible, ...indices))), tables: { visible } };
}
