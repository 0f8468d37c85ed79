// Differentiation with `add` as the addition of gradients: the functions that models and tests call.
import { gradients } from "../src/graph/gradient.ts";
import { constant } from "../src/graph/structure.ts";
import type { Tensor } from "../src/graph/tensor.ts";
import { add } from "./elementwise/op.ts";

/**
 * Gradients of a scalar, as new tensors of its graph: g_i = d loss / d wrt_i (times `seed`).
 *
 * @param loss the scalar, [1]
 * @param wrt tensors the loss depends on, usually parameters; each is treated as a leaf
 * @param seed a factor of the gradients. Default: 1
 * @returns one tensor per tensor of `wrt`, of its shape
 * @throws {Error} if the loss does not depend on one of them
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
 * Like `grad`, but returns a function from a tensor to its gradient: for `wrt` and every tensor between them and the loss,
 * whose gradients the backward pass computes anyway.
 *
 * @param loss the scalar, [1]
 * @param wrt tensors the loss depends on, usually parameters; each is treated as a leaf
 * @param seed a factor of the gradients, a number or a tensor [1]. Default: 1
 * @returns dL/dx of a tensor x, of its shape; undefined if the loss does not depend on x, or x on none of `wrt`
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
