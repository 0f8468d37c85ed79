// Differentiation with this room's own addition: what models and tests call.
import { gradients } from "../src/graph/gradient.ts";
import { constant } from "../src/graph/structure.ts";
import type { Tensor } from "../src/graph/tensor.ts";
import { add } from "./elementwise/op.ts";

/**
 * Gradients of a scalar, as new tensors of its graph: g_i = d loss / d wrt_i (times `seed`).
 *
 * @param loss the scalar, [1]
 * @param wrt tensors the loss depends on, parameters usually; each is taken as a leaf
 * @param seed a number the gradients are multiplied by, 1 by default
 * @returns one tensor for each of `wrt`, of its shape
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
    if (!g) throw new Error(`The loss does not depend on tensor ${i} of those asked for.`);
    return g;
  });
}

/**
 * The same backward pass, asked for by tensor: gradients of `wrt` and of every tensor between them and the loss, whose
 * values the pass computes anyway.
 *
 * @param loss the scalar, [1]
 * @param wrt tensors the loss depends on, parameters usually; each is taken as a leaf
 * @param seed what the gradients are multiplied by, a number or a tensor [1]; 1 by default
 * @returns dL/dx of a tensor x, of its shape; undefined where the loss does not depend on x or x on none of `wrt`
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
