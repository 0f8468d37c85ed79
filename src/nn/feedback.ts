// Feedback alignment: linear layers whose error goes back through fixed random matrices in the place of their own weights.
// The matrices are drawn again whenever they are used: they are neither trained nor kept.
import { matmul, type MatmulAttrs, matmulOp, type MatmulOptions } from "../../kernels/matmul/op.ts";
import { randomNormal } from "../../kernels/random/op.ts";
import { reshape, type ViewAttrs, viewOp } from "../graph/structure.ts";
import { apply, type Op, sizeOf, type Tensor } from "../graph/tensor.ts";

/** Where the error of the output stands once the backward pass has met it. */
export interface OutputError {
  /** dL/dlogits, [N, V]. */
  error?: Tensor;
}

/** How the error gets past a linear layer. */
export interface Feedback {
  /** A name: another one draws another matrix. */
  readonly name: string;
  /** Standard deviation of the matrix; that of the weight at its start keeps errors at their size. */
  readonly std: number;
  /** With it the output's error comes straight here (dfa), without it the layer's own goes through (fa). */
  readonly output?: OutputError;
}

interface FeedbackAttrs extends MatmulAttrs {
  readonly feedback: Feedback;
}

// One for all runs, so that a checkpoint that is loaded elsewhere goes on with the same matrices.
const SEED = 0;

/** The fixed random matrix of a layer, [out, in]. */
export function feedbackMatrix({ name, std }: Feedback, shape: readonly number[]): Tensor {
  return randomNormal(shape, { seed: SEED, purpose: `feedback ${name}`, std });
}

const feedbackOp: Op<FeedbackAttrs> = {
  ...(matmulOp as Op<FeedbackAttrs>),
  name: "feedback_linear",
  // It would come back as a plain product.
  withAddend: undefined,
  vjp(node, gradients, wanted) {
    const { feedback } = node.attrs as FeedbackAttrs;
    const [x, weight] = node.inputs;
    const exact = matmulOp.vjp!(node, gradients, [false, ...wanted.slice(1)]);
    if (!wanted[0]) return exact;
    const { output } = feedback;
    if (output && !output.error) {
      throw new Error(
        `${feedback.name}: dfa needs the error of the logits, which this gradient does not pass.`,
      );
    }
    const error = output?.error ?? gradients[0]!;
    const dx = matmul(error, feedbackMatrix(feedback, [error.shape[1], weight.shape[1]]));
    return [reshape(dx, x.shape), ...exact.slice(1)];
  },
};

/**
 * A linear layer y = x W^T + bias + addend whose backward pass does not use W: with dy the error at y,
 * dW = dy^T x and dbias = the sum of dy as ever, but dx = dy B with a fixed random B of W's shape (feedback alignment,
 * Lillicrap et al. 2016), or dx = e B with e = dL/dlogits and B [V, in] (direct feedback alignment, Nøkland 2016).
 *
 * @param x [..., in]
 * @param weight [out, in]
 * @returns [..., out]
 */
export function feedbackLinear(
  x: Tensor,
  weight: Tensor,
  feedback: Feedback,
  { bias, addend }: Pick<MatmulOptions, "bias" | "addend"> = {},
): Tensor {
  const inner = x.shape.at(-1)!;
  const rows = reshape(x, [sizeOf(x) / inner, inner]);
  const inputs = [rows, weight, ...(bias ? [bias] : []), ...(addend ? [addend] : [])];
  const attrs = { transA: false, transB: true, bias: !!bias, addend: !!addend, feedback };
  return reshape(apply(feedbackOp, inputs, attrs)[0], [...x.shape.slice(0, -1), weight.shape[0]]);
}

/** A view that also keeps the gradient that passes it. */
const errorOp: Op<ViewAttrs & { output: OutputError }> = {
  ...(viewOp as Op<ViewAttrs & { output: OutputError }>),
  vjp(node, [g]) {
    const { shape, output } = node.attrs as ViewAttrs & { output: OutputError };
    const V = shape.at(-1)!;
    output.error = reshape(g!, [sizeOf(shape) / V, V]);
    return [g];
  },
};

/** The same numbers; once their gradient is known, `output` holds it for the layers below. */
export function keepError(logits: Tensor, output: OutputError): Tensor {
  return apply(errorOp, [logits], { offset: 0, shape: logits.shape, output })[0];
}
