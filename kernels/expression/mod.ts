/**
 * Scalar expressions, exported by mod.ts as `expr`. They define activations, element-wise operations, score modifiers and
 * masks. WGSL, WebAssembly, a JavaScript function and the derivative are generated from an expression.
 *
 * @example
 * ```ts
 * import { expr } from "../../mod.ts";
 * const cube = expr.parseExpression("x ** 3");
 * expr.toFunction(cube, ["x"])(2); // 8
 * expr.toFunction(expr.derivative(cube, "x"), ["x"])(2); // 12
 * ```
 *
 * @category Tensors
 * @module
 */

export * from "./expression.ts";
export * from "./text.ts";
export * from "./wgsl.ts";
export * from "./wasm.ts";
