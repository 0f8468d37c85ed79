// Reverse-mode differentiation, for models and tests. If a tensor has several uses, the operation `add` adds their gradients.
import { gradients } from "../src/graph/gradient.ts";
import { constant } from "../src/graph/structure.ts";
import type { Tensor } from "../src/graph/tensor.ts";
import { add } from "./elementwise/op.ts";

/**
 * Computes the gradients of a scalar, as new tensors of its graph: g_i = seed * d loss / d wrt_i.
 *
 * @param loss the scalar, [1]
 * @param wrt tensors that the loss depends on, usually parameters; each is treated as a leaf
 * @param seed factor by which the gradients are multiplied. Default: 1
 * @returns one gradient for each tensor of `wrt`, with the shape of that tensor
 * @throws {Error} if the loss does not depend on one of these tensors
 *
 * @example
 * ```ts
 * import { grad, input, multiply, sumAll } from "../mod.ts";
 * const x = input("x", [3]);
 * const [dx] = grad(sumAll(multiply(x, x)), [x]); // 2 x
 * ```
 * @category Tensors
 */
export function grad(loss: Tensor, wrt: readonly Tensor[], seed = 1): Tensor[] {
  const gradientOf = gradients(loss, wrt, { seed: constant(seed), add });
  return wrt.map((x, i) => {
    const g = gradientOf(x);
    if (!g) throw new Error(`The loss does not depend on tensor ${i} of wrt.`);
    return g;
  });
}

/**
 * Like `grad`, but returns a function that maps a tensor to its gradient. It works for the tensors of `wrt` and for every
 * tensor between them and the loss, because the backward pass computes those gradients anyway.
 *
 * @param loss the scalar, [1]
 * @param wrt tensors that the loss depends on, usually parameters; each is treated as a leaf
 * @param seed factor by which the gradients are multiplied, a number or a tensor [1]. Default: 1
 * @returns a function of a tensor x that returns dL/dx, with the shape of x, or undefined if the loss does not depend on x or
 * x does not depend on any tensor of `wrt`
 *
 * @example
 * ```ts
 * import { input, multiply, sumAll } from "../mod.ts";
 * import { gradientOf } from "./mod.ts";
 * const x = input("x", [3]);
 * const y = multiply(x, x);
 * const of = gradientOf(sumAll(multiply(y, y)), [x]);
 * const [dx, dy] = [of(x), of(y)]; // 4 x^3 and 2 x^2
 * ```
 */
export function gradientOf(
  loss: Tensor,
  wrt: readonly Tensor[],
  seed: number | Tensor = 1,
): (x: Tensor) => Tensor | undefined {
  return gradients(loss, wrt, { seed: typeof seed === "number" ? constant(seed) : seed, add });
}
