// Attributes and sizes of a matrix product, used by the kernels and by the host.
import { mismatch, sizeOf, type Spec } from "../../src/graph/tensor.ts";
import type { Activation } from "../expression/activation.ts";

/** Attributes of a matrix product. The inputs are a, b, and the bias and the addend if there are any. */
export interface MatmulAttrs {
  readonly transA: boolean;
  readonly transB: boolean;
  readonly bias: boolean;
  readonly addend: boolean;
  readonly activation?: Activation;
}

/** Sizes of a product: `batch` products of matrices [M, K] and [K, N]. */
export interface MatmulSizes {
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Returns the sizes of a product. Throws a `UserError` if the shapes of the operands do not match. */
export function matmulSizes([a, b]: readonly Spec[], { transA, transB }: MatmulAttrs): MatmulSizes {
  const form = `${transA ? "[K, M]" : "[M, K]"} and ${transB ? "[N, K]" : "[K, N]"}`;
  const fail = () => mismatch("matmul", `${form}, or batches of them`, [a, b]);
  if (a.shape.length < 2 || a.shape.length !== b.shape.length || a.dtype !== "f32" || b.dtype !== "f32") {
    fail();
  }
  const lead = a.shape.slice(0, -2);
  if (lead.some((n, i) => n !== b.shape[i])) fail();
  const [a0, a1] = a.shape.slice(-2);
  const [b0, b1] = b.shape.slice(-2);
  const [M, K] = transA ? [a1, a0] : [a0, a1];
  const [N, K2] = transB ? [b0, b1] : [b1, b0];
  if (K !== K2) fail();
  return { batch: sizeOf(lead), M, N, K };
}
