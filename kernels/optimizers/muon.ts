// Muon over flat parameter storage, in place. A step orthogonalises the momentum of each matrix by a few matrix products and
// updates the matrix with the result. The first and the last kernel process all matrices at once. Each kernel in between
// processes one matrix, or one stack of matrices of equal shape.
import { apply, mismatch, sizeOf, wgslFloat, workgroups1d } from "../../src/graph/tensor.ts";
import type { Op, Tensor } from "../../src/graph/tensor.ts";
import { ALIGN, pack, reshape, view } from "../../src/graph/structure.ts";
import { elementwise, sumSquares } from "../elementwise/op.ts";
import { max, over, plus, sqrt, times, variable } from "../expression/expression.ts";
import { checkUpdateOptions, clipFactor, flatOptimizer, statesOf } from "./flat_update.ts";
import type { FlatUpdateOptions, Updated, UpdateTensors } from "./flat_update.ts";
import { f32, f32x4 } from "../../src/wasm/mod.ts";
import { matmul } from "../matmul/op.ts";
import { directionPhase } from "./simd.ts";
import directionWgsl from "./muon_direction.wgsl" with { type: "text" };
import stepWgsl from "./muon_step.wgsl" with { type: "text" };

/** A matrix in flat storage. */
export interface MatrixSlot {
  /** Index of the matrix's first element, a multiple of 64. */
  readonly offset: number;
  /** Rows and columns: [out, in]. */
  readonly shape: readonly number[];
}

/** Options that do not change between steps. Weight decay multiplies p by 1 - lr weightDecay. */
export interface MuonOptions extends Omit<FlatUpdateOptions, "decayedCount"> {
  /** Decay rate of the momentum, in [0, 1). */
  readonly momentum: number;
  /** Whether to use Nesterov momentum: the direction is momentum m + (1 - momentum) g instead of m. */
  readonly nesterov: boolean;
  /** The matrices to update; they must not overlap. */
  readonly matrices: readonly MatrixSlot[];
}

/** Attributes of the operation that computes the momentum and the direction. */
type DirectionAttrs = Pick<MuonOptions, "momentum" | "nesterov" | "clip">;

/** Computes the new momentum (in place) and the direction, from the gradient and the old momentum. */
const muonDirectionOp: Op<DirectionAttrs> = {
  name: "muon_direction",
  inplace: { 0: 1 },
  infer(inputs) {
    const [gradient, momentum, squaredNorm, chosen] = inputs;
    const flat = [momentum, chosen].every((x) => sizeOf(x) === sizeOf(gradient));
    if (!flat || sizeOf(squaredNorm) !== 1 || inputs.some((x) => x.dtype !== "f32")) {
      mismatch("muon", "gradient, momentum and trainable of one size, and a squared norm f32[1]", inputs);
    }
    return [momentum, { shape: gradient.shape, dtype: "f32" }];
  },
  lower({ outputs: [mean], attrs: { momentum, nesterov, clip } }) {
    return {
      dispatches: [{
        label: "muon direction",
        source: directionWgsl,
        constants: {
          SIZE: sizeOf(mean),
          CLIPPED: clip > 0,
          CLIP: wgslFloat(clip),
          MOMENTUM: wgslFloat(momentum),
          ONE_MINUS_MOMENTUM: wgslFloat(1 - momentum),
          NESTEROV: nesterov,
        },
        bindings: {
          0: ["output", 0],
          1: ["output", 1],
          2: ["input", 0],
          3: ["input", 3],
          4: clip > 0 ? ["input", 2] : undefined,
        },
        workgroups: workgroups1d(sizeOf(mean), 64),
      }],
    };
  },
  simd: ({ outputs: [mean], attrs, needed: [, keeps] }) => ({
    phases: [directionPhase({ ...attrs, size: sizeOf(mean), keeps })],
  }),
  cpu([gradient, , [squaredNorm], chosen], [mean, direction], { attrs: { momentum, nesterov, clip } }) {
    const factor = clipFactor(clip, squaredNorm);
    for (let i = 0; i < mean.length; i++) {
      direction[i] = 0;
      if (chosen[i] === 0) continue;
      const g = gradient[i] * factor;
      const m = momentum * mean[i] + (1 - momentum) * g;
      mean[i] = m;
      direction[i] = nesterov ? momentum * m + (1 - momentum) * g : m;
    }
  },
};

/** Updates the parameters along a direction, which is passed as the gradient. */
const step = flatOptimizer<FlatUpdateOptions>({
  name: "muon_step",
  states: [],
  hyper: 1,
  step: stepWgsl,
  rule({ weightDecay }, [lr], parameter) {
    const decay = 1 - lr * weightDecay;
    return (i, direction) => {
      parameter[i] = parameter[i] * decay - lr * direction;
    };
  },
  vectorRule({ weightDecay }, f, hyper) {
    const decay = f.let(f32x4.splat(f32.sub(1, f32.mul(hyper(0), weightDecay))));
    const lr = f.let(f32x4.splat(hyper(0)));
    return ({ parameter, gradient }) => {
      return { parameter: f32x4.nmadd(gradient, lr, f32x4.mul(parameter, decay)), states: [] };
    };
  },
});

/**
 * Coefficients of the polynomial of Jordan et al., which is steep at 0, so that five iterations bring singular values to
 * between about 0.7 and 1.2.
 */
const [A, B, C] = [3.4445, -4.775, 2.0315];
const ITERATIONS = 5;

/** Scales x to Frobenius norm 1 (0 stays 0), so that its singular values are at most 1. */
function unitNorm(x: Tensor): Tensor {
  const unit = over(variable("x"), max(sqrt(variable("s")), 1e-7));
  return elementwise(unit, { x, s: sumSquares(x) }, "muon unit norm");
}

/** Applies the Newton-Schulz iterations to a matrix or a stack of matrices, and multiplies the result by `factor`. */
function newtonSchulz(y: Tensor, factor: number): Tensor {
  const [rows, columns] = y.shape.slice(-2);
  const tall = rows > columns;
  const [X, G, P] = [variable("x"), variable("g"), variable("p")];
  for (let i = 1; i <= ITERATIONS; i++) {
    const g = matmul(y, y, tall ? { transA: true } : { transB: true });
    const polynomial = plus(times(B, G), times(C, P));
    const p = elementwise(polynomial, { g, p: matmul(g, g) }, "muon polynomial");
    const product = tall ? matmul(y, p) : matmul(p, y);
    const next = plus(times(A, X), P);
    y = elementwise(i < ITERATIONS ? next : times(factor, next), { x: y, p: product }, "muon round");
  }
  return y;
}

/**
 * Orthogonalises a matrix: five Newton-Schulz iterations keep its singular vectors and bring its singular values close to 1:
 *
 *     X <- X / max(||X||, 1e-7),  then  X <- a X + (b G + c G^2) X  with G = X X^T
 *
 * and a, b, c = 3.4445, -4.775, 2.0315. If there are more rows than columns, the iteration is X <- a X + X (b G + c G^2) with
 * G = X^T X. Singular values below about 1e-3 of the norm stay below 0.7, and 0 stays 0.
 *
 * Source: Jordan et al. 2024, Muon.
 *
 * @param x f32 [M, N]
 * @param factor factor by which the result is multiplied
 * @returns f32 [M, N]
 *
 * @example
 * ```ts
 * import { input } from "../../mod.ts";
 * import { orthogonalised } from "../mod.ts";
 * const y = orthogonalised(input("x", [64, 128])); // y y^T is near the identity
 * ```
 */
export function orthogonalised(x: Tensor, factor = 1): Tensor {
  return newtonSchulz(unitNorm(x), factor);
}

/**
 * Maximum number of elements in a stack. The limit lets a small model have one stack per shape, and bounds the memory that a
 * large model needs.
 */
const MOST_STACKED = 2 ** 22;

/** Groups matrices of equal shape into stacks without gaps. One kernel call processes one stack. */
function stacksOf(matrices: readonly MatrixSlot[]): MatrixSlot[][] {
  const stacks: MatrixSlot[][] = [];
  const last = new Map<string, MatrixSlot[]>();
  for (const matrix of matrices) {
    const size = sizeOf(matrix.shape);
    const stack = last.get(matrix.shape.join());
    if (stack && size % ALIGN === 0 && (stack.length + 1) * size <= MOST_STACKED) {
      stack.push(matrix);
      continue;
    }
    stacks.push([matrix]);
    last.set(matrix.shape.join(), stacks.at(-1)!);
  }
  return stacks;
}

/** Orthogonalises the directions of the matrices in a stack. The directions are read from a flat tensor. */
function stackOrthogonalised(direction: Tensor, stack: readonly MatrixSlot[]): Tensor[] {
  const { shape } = stack[0];
  const size = sizeOf(shape);
  const offsets = stack.map((_, i) => i * size);
  const units = stack.map(({ offset }) => unitNorm(view(direction, shape, offset)));
  const stacked = units.length === 1 ? units[0] : pack(units, offsets, units.length * size);
  const y = newtonSchulz(reshape(stacked, [units.length, ...shape]), 0.2 * Math.sqrt(Math.max(...shape)));
  return offsets.map((offset) => view(y, shape, offset));
}

/**
 * Performs one step of Muon in place for the given matrices. The gradient is first clipped by its global norm:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     m <- momentum m + (1 - momentum) g
 *     d <- m,  or with `nesterov` d <- momentum m + (1 - momentum) g
 *     p <- p (1 - lr weightDecay) - lr 0.2 sqrt(max(rows, columns)) orthogonalised(d)
 *
 * The factor 0.2 sqrt(max(rows, columns)) makes steps as large as AdamW's, about 0.2 lr per element, so that learning rate
 * and weight decay can be chosen as for AdamW. Parameters outside `matrices` do not change; another optimizer can update
 * them. Read the results through the returned tensors.
 *
 * Source: Jordan et al. 2024, Muon; Liu et al. 2025, Muon is Scalable for LLM Training, for the factor and the decay.
 *
 * @param tensors see `UpdateTensors`; the state is momentum (m), and `trainable` must be nonzero in the matrices to update
 * and 0 everywhere else
 * @param options see `MuonOptions`
 * @returns the updated parameters and momentum, in place
 * @throws {UserError} if the sizes do not match or an option is outside its range
 *
 * @example
 * ```ts
 * import { constant, input, state } from "../../mod.ts";
 * import { muon, sumSquares } from "../mod.ts";
 * const [parameter, momentum] = ["p", "m"].map((name) => state(name, [128]));
 * const [gradient, hyper, trainable] = [input("gradient", [128]), input("lr", [1]), constant(1, [128])];
 * const matrices = [{ offset: 0, shape: [8, 16] }];
 * const options = { momentum: 0.95, nesterov: true, weightDecay: 0.1, clip: 1, matrices };
 * const tensors = { parameter, gradient, states: { momentum }, squaredNorm: sumSquares(gradient), hyper, trainable };
 * const after = muon(tensors, options); // after.parameter replaces parameter
 * ```
 */
export function muon(tensors: UpdateTensors & { readonly trainable: Tensor }, options: MuonOptions): Updated {
  const { parameter, gradient, states, squaredNorm, trainable } = tensors;
  const { matrices, ...common } = options;
  const all = { ...common, decayedCount: sizeOf(parameter) };
  checkUpdateOptions("muon", parameter, all, { momentum: options.momentum });
  const [momentum] = statesOf("muon", ["momentum"], states);
  const [mean, direction] = apply(muonDirectionOp, [gradient, momentum, squaredNorm, trainable], common);
  const stacks = stacksOf(matrices);
  const directions = stacks.flatMap((stack) => stackOrthogonalised(direction, stack));
  const packed = pack(directions, stacks.flat().map(({ offset }) => offset), sizeOf(parameter));
  // The gradient has been clipped already; the direction must not be clipped.
  const after = step({ ...tensors, gradient: packed }, { ...all, clip: 0 });
  return { ...after, states: { momentum: mean } };
}
