// Element-wise operations defined by expressions: one operation serves every activation, sum, product and hook, and its
// gradient follows from the expression's derivative. This file also has sums over rows and over all elements, which are the
// gradients of broadcasting, and sums of squares.
import { parseExpression } from "../expression/text.ts";
import { apply, mismatch, sizeOf, workgroups1d } from "../../src/graph/tensor.ts";
import type { Dispatch, Op, Ref, Tensor } from "../../src/graph/tensor.ts";
import { constantValue, reshape } from "../../src/graph/structure.ts";
import {
  derivative,
  type Expression,
  plus,
  substitute,
  times,
  toFunction,
  variable,
  variablesOf,
} from "../expression/expression.ts";
import { toWgsl, WGSL_FUNCTIONS } from "../expression/wgsl.ts";
import { type ElementwiseAttrs, operandKind, type ReduceAttrs } from "./operands.ts";
import { elementwiseSimd, reduceSimd } from "./simd.ts";
import elementwiseWgsl from "./elementwise.wgsl" with { type: "text" };
import reduceWgsl from "./reduce.wgsl" with { type: "text" };

const INDEX = { full: "i", scalar: "0u", row: "i % ROW" };

export const elementwiseOp: Op<ElementwiseAttrs> = {
  name: "elementwise",
  infer(inputs, { name }) {
    const out = inputs.reduce((a, b) => sizeOf(b) > sizeOf(a) ? b : a);
    if (inputs.some((x) => x.dtype !== "f32" || !operandKind(x, out))) {
      mismatch(name, "tensors of one shape, single numbers or rows of the last dimension", inputs);
    }
    return [{ shape: out.shape, dtype: "f32" }];
  },
  lower: ({ inputs, outputs: [out], attrs }) => ({
    dispatches: [{
      label: attrs.name,
      source: elementwiseWgsl,
      constants: { SIZE: sizeOf(out), ROW: out.shape.at(-1) ?? 1 },
      code: {
        FUNCTIONS: WGSL_FUNCTIONS,
        BINDINGS: inputs.map((_, i) => `@group(0) @binding(${i + 1}) var<storage, read> x${i}: array<f32>;`)
          .join("\n"),
        LOADS: inputs.map((x, i) => `  let ${attrs.names[i]} = x${i}[${INDEX[operandKind(x, out)!]}];`).join(
          "\n",
        ),
        EXPRESSION: `    ${toWgsl(attrs.expression)}`,
      },
      bindings: Object.fromEntries([[0, ["output", 0]], ...inputs.map((_, i) => [i + 1, ["input", i]])]),
      workgroups: workgroups1d(sizeOf(out), 64),
    }],
  }),
  simd: elementwiseSimd,
  cpu(inputs, [y], { inputs: specs, attrs: { expression, names } }) {
    const f = toFunction(expression, names);
    const [a, b] = inputs;
    if (inputs.length === 1 && a.length === y.length) {
      for (let i = 0; i < y.length; i++) y[i] = f(a[i]);
    } else if (inputs.length === 2 && a.length === y.length && b.length === y.length) {
      for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i]);
    } else {
      const sizes = specs.map(sizeOf);
      for (let i = 0; i < y.length; i++) y[i] = f(...inputs.map((x, k) => x[i % sizes[k]]));
    }
  },
  vjp(node, [g], needed) {
    const { expression, names, name } = node.attrs as ElementwiseAttrs;
    const [out] = node.outputs;
    return node.inputs.map((x, i) => {
      if (!needed[i]) return undefined;
      const product = times(variable("g"), derivative(expression, names[i]));
      const operands: Record<string, Tensor> = { g: g! };
      node.inputs.forEach((input, k) => operands[names[k]] = input);
      const full = applied(product, operands, `${name}_backward`);
      const kind = operandKind(x, out);
      if (kind === "full") return reshape(full, x.shape);
      const row = x.shape.length ? sizeOf(x) : 1;
      return reshape(
        kind === "scalar" ? sumAll(full) : sumRows(reshape(full, [sizeOf(full) / row, row])),
        x.shape,
      );
    });
  },
};

/**
 * Applies an expression to every element: y_i = f(x0_i, x1_i, ...).
 *
 * @param given the expression, as text or built with `expr`; its variables are the keys of `operands`
 * @param operands tensors of equal shape; a tensor with one element, or with the size of the last dimension, is broadcast
 * @param name name of the operation in errors and traces
 * @returns a tensor with the shape of the largest operand
 *
 * @example
 * ```ts
 * import { elementwise, input } from "../../mod.ts";
 * const x = input("x", [4, 8]);
 * const rectified = elementwise("max(0, x)", { x });
 * ```
 * @category Tensors
 */
export function elementwise(
  given: Expression | string,
  operands: Readonly<Record<string, Tensor>>,
  name = "elementwise",
): Tensor {
  let expression = typeof given === "string"
    ? parseExpression(given, { variables: Object.keys(operands), what: name })
    : given;
  const renamed: Record<string, Tensor> = {};
  for (const [n, [key, x]] of Object.entries(operands).entries()) {
    const safe = SAFE_NAME.test(key) ? key : `operand_${n}`;
    if (safe !== key) expression = substitute(expression, key, variable(safe));
    renamed[safe] = x;
  }
  return applied(expression, renamed, name);
}

/**
 * Matches the names that operands can have in generated code without clashing with the variables of that code or with
 * keywords.
 */
const SAFE_NAME = /^[abcdehj-xz]$/;

/** Like `elementwise`, but for operands whose names match `SAFE_NAME`, or are `g` for a gradient. */
function applied(expression: Expression, operands: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const used = variablesOf(expression);
  const shape = Object.values(operands).reduce((a, b) => sizeOf(b) > sizeOf(a) ? b : a).shape;
  // Operands that the expression does not use are dropped, unless they are needed for the shape.
  const kept = Object.keys(operands).filter((k) => used.has(k));
  const names = kept.some((k) => sizeOf(operands[k]) === sizeOf(shape)) ? kept : Object.keys(operands);
  return apply(elementwiseOp, names.map((k) => operands[k]), { name, expression, names })[0];
}

/** a + b, element by element.
 * @category Tensors */
export function add(a: Tensor, b: Tensor): Tensor {
  return elementwise(plus(variable("a"), variable("b")), { a, b }, "add");
}

/** a b, element by element. If one of the tensors is the constant 1 and can be broadcast, returns the other tensor itself.
 * @category Tensors */
export function multiply(a: Tensor, b: Tensor): Tensor {
  if (constantValue(a) === 1 && operandKind(a, b)) return b;
  if (constantValue(b) === 1 && operandKind(b, a)) return a;
  return elementwise(times(variable("a"), variable("b")), { a, b }, "multiply");
}

/** c x for a number c; returns x itself if c is 1.
 * @category Tensors */
export function scale(x: Tensor, c: number): Tensor {
  return c === 1 ? x : elementwise(times(c, variable("x")), { x }, "scale");
}

/**
 * Returns the number of rows that one invocation sums: about the square root of `rows`, so that both dispatches have short
 * loops.
 */
export function chunkRows(rows: number, columns: number): number {
  const each = Math.ceil(Math.sqrt(rows));
  // With many columns there are enough invocations even for larger chunks, which leave fewer partial sums.
  return columns >= 256 ? Math.max(each, 64) : each;
}

/** Sizes of a column sum: rows, columns and rows per chunk. If `square` is set, the squares of the elements are summed. */
export interface ReduceShape {
  readonly rows: number;
  readonly columns: number;
  readonly perChunk: number;
  readonly square?: boolean;
}

/**
 * Returns a dispatch that sums columns within chunks of rows, which maps [rows, columns] to [chunks, columns]. Attention uses
 * this function too.
 */
export function reducePass(label: string, from: Ref, to: Ref, shape: ReduceShape): Dispatch {
  const { rows, columns, perChunk, square = false } = shape;
  const chunks = Math.ceil(rows / perChunk);
  return {
    label,
    source: reduceWgsl,
    constants: { ROWS: rows, COLUMNS: columns, CHUNK_ROWS: perChunk, CHUNKS: chunks, SQUARE: square },
    bindings: { 0: from, 1: to },
    workgroups: workgroups1d(columns * chunks, 64),
  };
}

/** Computes column sums in at most two dispatches. The sums are deterministic, because the order of additions is fixed. */
export const reduceOp: Op<ReduceAttrs> = {
  name: "reduce",
  infer([x]) {
    if (x.shape.length !== 2 || x.dtype !== "f32") mismatch("reduce", "a matrix f32[rows, columns]", [x]);
    return [{ shape: [x.shape[1]], dtype: "f32" }];
  },
  lower({ inputs: [x], attrs: { square } }) {
    const [rows, columns] = x.shape;
    const perChunk = chunkRows(rows, columns);
    const chunks = Math.ceil(rows / perChunk);
    const shape = { rows, columns, perChunk, square };
    if (chunks === 1) return { dispatches: [reducePass("reduce", ["input", 0], ["output", 0], shape)] };
    return {
      scratch: [chunks * columns],
      dispatches: [
        reducePass("reduce", ["input", 0], ["scratch", 0], shape),
        reducePass("reduce", ["scratch", 0], ["output", 0], { rows: chunks, columns, perChunk: chunks }),
      ],
    };
  },
  simd: reduceSimd,
  cpu([x], [y], { inputs: [{ shape: [rows, columns] }], attrs: { square } }) {
    const sums = new Float64Array(columns);
    for (let r = 0, i = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, i++) sums[c] += square ? x[i] * x[i] : x[i];
    }
    y.set(sums);
  },
  vjp(node, [g]) {
    const [x] = node.inputs;
    const { square } = node.attrs as ReduceAttrs;
    // The gradient of the sum is broadcast along the rows; x determines the shape.
    const gradient = square ? times(times(2, variable("x")), variable("g")) : variable("g");
    return [elementwise(gradient, { x, g: g! }, "reduce_backward")];
  },
};

/** Returns the sums of the columns of x: maps [R, C] to [C]. */
export function sumRows(x: Tensor): Tensor {
  return apply(reduceOp, [x], { square: false })[0];
}

/**
 * Returns the row length for a sum of all elements: 64 if it divides the size, so that adjacent lanes read adjacent elements,
 * else 1.
 */
function columnsOf(x: Tensor): number {
  return sizeOf(x) % 64 === 0 ? 64 : 1;
}

function sumEverything(x: Tensor, square: boolean): Tensor {
  const columns = columnsOf(x);
  const sums = apply(reduceOp, [reshape(x, [sizeOf(x) / columns, columns])], { square })[0];
  return columns === 1 ? sums : sumRows(reshape(sums, [columns, 1]));
}

/** Returns the sum of all elements, [1].
 * @category Tensors */
export function sumAll(x: Tensor): Tensor {
  return sumEverything(x, false);
}

/** Returns the sum of the squares of all elements, [1]. */
export function sumSquares(x: Tensor): Tensor {
  return sumEverything(x, true);
}
