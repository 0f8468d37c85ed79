// Feedback alignment: linear layers whose backward pass uses fixed random matrices instead of their weights. The matrices are
// regenerated at each use: they are neither trained nor stored.
import { matmul, matmulOp, type MatmulOptions } from "../../kernels/matmul/op.ts";
import type { MatmulAttrs } from "../../kernels/matmul/sizes.ts";
import { randomNormal } from "../../kernels/random/op.ts";
import { reshape, type ViewAttrs, viewOp } from "../graph/structure.ts";
import { apply, type Op, sizeOf, type Tensor } from "../graph/tensor.ts";

/** Holds the gradient of the logits once the backward pass has computed it. */
export interface OutputError {
  /** e = dL/dlogits, [N, V]. */
  error?: Tensor;
}

/** A fixed random matrix of a backward pass. */
export interface Feedback {
  /** Seeds the random numbers: the same name and shape give the same matrix. */
  readonly name: string;
  /**
   * Standard deviation of the matrix's values. If it equals that of the weight which the matrix replaces, backpropagated errors
   * keep their scale.
   */
  readonly std: number;
}

interface FeedbackAttrs extends MatmulAttrs {
  readonly feedback: Feedback;
}

// The seed is the same for all runs, so that a checkpoint loaded elsewhere continues with the same matrices.
const SEED = 0;

/** Returns the fixed random matrix that `Feedback` describes, as a tensor of this shape. */
export function feedbackMatrix({ name, std }: Feedback, shape: readonly number[]): Tensor {
  return randomNormal(shape, { seed: SEED, purpose: `feedback ${name}`, std });
}

const feedbackOp: Op<FeedbackAttrs> = {
  ...(matmulOp as Op<FeedbackAttrs>),
  name: "feedback_linear",
  // The fusion of matmul would return a plain matmul, whose backward pass has no feedback matrix.
  fuseAdd: undefined,
  vjp(node, gradients, needed) {
    const { feedback } = node.attrs as FeedbackAttrs;
    const [x, weight] = node.inputs;
    const exact = matmulOp.vjp!(node, gradients, [false, ...needed.slice(1)]);
    if (!needed[0]) return exact;
    const dx = matmul(gradients[0]!, feedbackMatrix(feedback, weight.shape));
    return [reshape(dx, x.shape), ...exact.slice(1)];
  },
};

/**
 * A linear layer y = x W^T + bias + addend with feedback alignment (Lillicrap et al. 2016): given the error dy at y, dW = dy^T
 * x and dbias = sum dy are computed as in backpropagation, but dx = dy B, where the fixed random matrix B replaces W.
 *
 * @param x [..., in]
 * @param weight W, [out, in]
 * @returns y, [..., out]
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

interface DirectAttrs extends ViewAttrs {
  readonly feedback: Feedback;
  readonly output: OutputError;
}

/** A view whose backward pass ignores the incoming gradient and returns dL/dlogits times a fixed random matrix. */
const directOp: Op<DirectAttrs> = {
  ...(viewOp as Op<DirectAttrs>),
  vjp(node) {
    const { shape, feedback, output: { error } } = node.attrs as DirectAttrs;
    if (!error) {
      throw new Error(
        `${feedback.name}: dfa needs the error of the logits, which this backward pass does not include.`,
      );
    }
    return [reshape(matmul(error, feedbackMatrix(feedback, [error.shape[1], shape.at(-1)!])), shape)];
  },
};

/**
 * Returns x. Its backward pass is that of direct feedback alignment (Nøkland 2016): it ignores the gradient from the layers
 * above and returns dL/dx = e B, where e = dL/dlogits [N, V], and B [V, D] is fixed and random.
 *
 * @param x [..., D]; the product of its other dimensions is N
 */
export function directError(x: Tensor, feedback: Feedback, output: OutputError): Tensor {
  return apply(directOp, [x], { offset: 0, shape: x.shape, feedback, output })[0];
}

/** A view whose backward pass stores the incoming gradient in `output.error` and returns it unchanged. */
const errorOp: Op<ViewAttrs & { output: OutputError }> = {
  ...(viewOp as Op<ViewAttrs & { output: OutputError }>),
  vjp(node, [g]) {
    const { shape, output } = node.attrs as ViewAttrs & { output: OutputError };
    const V = shape.at(-1)!;
    output.error = reshape(g!, [sizeOf(shape) / V, V]);
    return [g];
  },
};

/** Returns the logits unchanged; the backward pass stores their gradient in `output.error` for the layers below. */
export function keepError(logits: Tensor, output: OutputError): Tensor {
  return apply(errorOp, [logits], { offset: 0, shape: logits.shape, output })[0];
}
