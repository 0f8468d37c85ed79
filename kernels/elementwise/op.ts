// Element-wise operations from expressions: one operation for every activation, sum, product and hook, its gradient the
// expression's own derivative.
import {
  apply,
  mismatch,
  type Op,
  sizeOf,
  type Spec,
  type Tensor,
  workgroups1d,
} from "../../src/graph/tensor.ts";
import { constantValue, reshape } from "../../src/graph/structure.ts";
import {
  derivative,
  type Expression,
  plus,
  substitute,
  times,
  variable,
  variablesOf,
} from "../expression/expression.ts";
import { toWgsl, WGSL_FUNCTIONS } from "../expression/wgsl.ts";
import { sumAll, sumRows } from "./reduce.ts";
import elementwiseWgsl from "./elementwise.wgsl" with { type: "text" };
import { elementwiseCpu } from "./cpu.ts";

/** Attributes of an element-wise operation. */
export interface ElementwiseAttrs {
  readonly name: string;
  readonly expression: Expression;
  /** Variable of the expression that each input stands for. */
  readonly names: readonly string[];
}

/** How an operand lies against the result: of its size, one number, or one row of its last dimension. */
export function operandKind(x: Spec, out: Spec): "full" | "scalar" | "row" | undefined {
  const size = sizeOf(x);
  if (size === sizeOf(out)) return "full";
  if (size === 1) return "scalar";
  return size === out.shape.at(-1) ? "row" : undefined;
}

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
  cpu: elementwiseCpu,
  vjp(node, [g], wanted) {
    const { expression, names, name } = node.attrs as ElementwiseAttrs;
    const [out] = node.outputs;
    return node.inputs.map((x, i) => {
      if (!wanted[i]) return undefined;
      const slope = times(variable("g"), derivative(expression, names[i]));
      const operands: Record<string, Tensor> = { g: g! };
      node.inputs.forEach((input, k) => operands[names[k]] = input);
      const full = applied(slope, operands, `${name}_backward`);
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
 * @param expression over variables named as the keys of `operands`
 * @param operands tensors of one shape; a tensor of one number, or of the last dimension's length, is repeated
 * @param name what errors and traces call it
 * @returns a tensor of the largest operand's shape
 *
 * @example
 * ```ts
 * import { elementwise, input, times, variable } from "../../mod.ts";
 * const x = input("x", [4, 8]);
 * const squared = elementwise(times(variable("x"), variable("x")), { x });
 * ```
 */
export function elementwise(
  expression: Expression,
  operands: Readonly<Record<string, Tensor>>,
  name = "elementwise",
): Tensor {
  const renamed: Record<string, Tensor> = {};
  for (const [n, [key, x]] of Object.entries(operands).entries()) {
    const safe = SAFE_NAME.test(key) ? key : `operand_${n}`;
    if (safe !== key) expression = substitute(expression, key, variable(safe));
    renamed[safe] = x;
  }
  return applied(expression, renamed, name);
}

/** Operands by names that shaders and functions take as they are: not those of their own variables, nor any word. */
const SAFE_NAME = /^[abcdehj-xz]$/;

/** The same of operands by safe names, or the gradient `g`. */
function applied(expression: Expression, operands: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const used = variablesOf(expression);
  const shape = Object.values(operands).reduce((a, b) => sizeOf(b) > sizeOf(a) ? b : a).shape;
  // Operands that the expression does not use are dropped, unless one of them alone gives the shape.
  const kept = Object.keys(operands).filter((k) => used.has(k));
  const names = kept.some((k) => sizeOf(operands[k]) === sizeOf(shape)) ? kept : Object.keys(operands);
  return apply(elementwiseOp, names.map((k) => operands[k]), { name, expression, names })[0];
}

/** a + b, element by element. */
export function add(a: Tensor, b: Tensor): Tensor {
  return elementwise(plus(variable("a"), variable("b")), { a, b }, "add");
}

/** a b, element by element; a constant 1 vanishes. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  if (constantValue(a) === 1 && operandKind(a, b)) return b;
  if (constantValue(b) === 1 && operandKind(b, a)) return a;
  return elementwise(times(variable("a"), variable("b")), { a, b }, "multiply");
}

/** c x for a number c; 1 vanishes. */
export function scale(x: Tensor, c: number): Tensor {
  return c === 1 ? x : elementwise(times(c, variable("x")), { x }, "scale");
}
