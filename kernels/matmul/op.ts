// Matrix products of single matrices or of batches. Each operand can be transposed; a bias, an activation and an addition can
// be fused.
import { apply, mismatch, sizeOf, workgroups1d } from "../../src/graph/tensor.ts";
import type { Dispatch, Op, Spec, Target, Tensor } from "../../src/graph/tensor.ts";
import { reshape } from "../../src/graph/structure.ts";
import { type Activation, ACTIVATIONS } from "../expression/activation.ts";
import { elementwise, sumRows } from "../elementwise/op.ts";
import { derivative, times, variable } from "../expression/expression.ts";
import { toWgsl, WGSL_FUNCTIONS } from "../expression/wgsl.ts";
import { itemsOf, type RowPart, rowParts } from "../row_parts.ts";
import { matmulCpu } from "./cpu.ts";
import { type MatmulAttrs, type MatmulSizes, matmulSizes } from "./sizes.ts";
import { matmulSimd } from "./simd.ts";
import matmulWgsl from "./matmul.wgsl" with { type: "text" };

/**
 * Returns the constants of the schedule that keeps results in registers. Each invocation computes 12 x 16 results, or fewer if
 * the product has fewer rows or columns, or is too small to give each lane of a few processors a tile.
 */
function registerTiles({ batch, M, N, K }: MatmulSizes, { transA, transB }: MatmulAttrs) {
  const TM = [4, 8].find((rows) => rows >= M) ?? 12;
  const tilesM = Math.ceil(M / TM);
  const TN = [16, 8].find((columns) => columns < N + 4 && batch * tilesM * Math.ceil(N / columns) >= 64) ?? 4;
  const tilesN = Math.ceil(N / TN);
  const [x, y] = workgroups1d(tilesM * tilesN, 8);
  // Each vec4f holds four consecutive elements of a stored row.
  const [a, b] = [transA ? M : K, transB ? K : N].map((along) => itemsOf(along).Item);
  return {
    constants: {
      TM,
      TN,
      TILES_N: tilesN,
      UNROLL: [4, 2, 1].find((n) => K % n === 0)!,
      ...{ VECTOR_A: a === "vec4f", VECTOR_B: b === "vec4f", ItemA: a, ItemB: b },
    },
    workgroups: [x, y, batch] as const,
  };
}

/** The dispatch that computes the columns of the product that belong to one part of b. */
function dispatchOf(
  sizes: MatmulSizes,
  attrs: MatmulAttrs,
  savesPre: boolean,
  target: Target,
  { first, rows, range }: RowPart,
): Dispatch {
  const { batch, M, N, K } = sizes;
  const tiled = target.kind === "gpu";
  const tiles = tiled
    ? {
      constants: { UNROLL: 8, ItemA: "f32", ItemB: "f32" },
      workgroups: [Math.ceil(rows / 64), Math.ceil(M / 64), batch] as const,
    }
    : registerTiles({ ...sizes, N: rows }, attrs);
  return {
    label: `matmul ${M}x${N}x${K}`,
    source: matmulWgsl,
    constants: {
      M,
      N: rows,
      K,
      FIRST: first,
      COLUMNS: N,
      TRANS_A: attrs.transA,
      TRANS_B: attrs.transB,
      TILED: tiled,
      VECTOR_Y: N % 4 === 0,
      Out: itemsOf(N).Item,
      HAS_BIAS: attrs.bias,
      HAS_ADDEND: attrs.addend,
      SAVES_PRE: savesPre,
      HAS_ACTIVATION: attrs.activation !== undefined,
      ...tiles.constants,
    },
    code: {
      FUNCTIONS: attrs.activation ? WGSL_FUNCTIONS : "",
      ACTIVATION: attrs.activation ? toWgsl(ACTIVATIONS[attrs.activation]) : "",
    },
    bindings: {
      0: ["output", 0],
      1: ["input", 0],
      2: ["input", 1, range],
      3: attrs.bias ? ["input", 2] : undefined,
      4: attrs.addend ? ["input", attrs.bias ? 3 : 2] : undefined,
      5: savesPre ? ["output", 1] : undefined,
    },
    workgroups: tiles.workgroups,
    iterations: { count: Math.ceil(K / tiles.constants.UNROLL), of: `K = ${K}` },
  };
}

export const matmulOp: Op<MatmulAttrs> = {
  name: "matmul",
  infer(inputs, attrs) {
    const { M, N } = matmulSizes(inputs, attrs);
    const out: Spec = { shape: [...inputs[0].shape.slice(0, -2), M, N], dtype: "f32" };
    const extra = inputs.slice(2);
    const sizes = [...(attrs.bias ? [N] : []), ...(attrs.addend ? [sizeOf(out)] : [])];
    if (extra.some((x, i) => sizeOf(x) !== sizes[i])) {
      mismatch(
        "matmul",
        `a bias [${N}] and an addend of the product's shape [${out.shape.join(", ")}]`,
        extra,
      );
    }
    return attrs.activation ? [out, out] : [out];
  },
  lower({ inputs, attrs, needed }, target) {
    const sizes = matmulSizes(inputs, attrs);
    const savesPre = attrs.activation !== undefined && needed[1];
    // If b is too large for one binding, its rows, which are columns of the product, are split into parts.
    const undivided = [{ first: 0, rows: sizes.N, range: undefined }];
    const splits = attrs.transB && sizes.batch === 1;
    const parts = splits ? rowParts(sizes.N, sizes.K, target.maxBindingBytes) : undivided;
    return { dispatches: parts.map((part) => dispatchOf(sizes, attrs, savesPre, target, part)) };
  },
  simd: matmulSimd,
  cpu: matmulCpu,
  vjp(node, [g, gPre], needed) {
    const { transA, transB, bias, addend, activation } = node.attrs as MatmulAttrs;
    const [a, b] = node.inputs;
    if (gPre) throw new Error("matmul: the value before the activation has no gradient.");
    let gradient = g!;
    if (activation) {
      const d = times(variable("g"), derivative(ACTIVATIONS[activation], "x"));
      gradient = elementwise(d, { g: g!, x: node.outputs[1] }, `${activation}_backward`);
    }
    const gradients: (Tensor | undefined)[] = [
      needed[0]
        ? transA
          ? matmul(b, gradient, { transA: transB, transB: true })
          : matmul(gradient, b, { transB: !transB })
        : undefined,
      needed[1]
        ? transB
          ? matmul(gradient, a, { transA: true, transB: transA })
          : matmul(a, gradient, { transA: !transA })
        : undefined,
    ];
    if (bias) {
      const N = gradient.shape.at(-1)!;
      gradients.push(needed[2] ? sumRows(reshape(gradient, [sizeOf(gradient) / N, N])) : undefined);
    }
    if (addend) gradients.push(reshape(g!, node.inputs.at(-1)!.shape));
    return gradients;
  },
  fuseAdd(node, addend) {
    const attrs = node.attrs as MatmulAttrs;
    if (attrs.addend || sizeOf(addend) !== sizeOf(node.outputs[0])) return undefined;
    return apply(matmulOp, [...node.inputs, addend], { ...attrs, addend: true })[0];
  },
  flops(call) {
    const { batch, M, N, K } = matmulSizes(call.inputs, call.attrs);
    return 2 * batch * M * N * K;
  },
};

/** Options of a matrix product. */
export interface MatmulOptions {
  /** Whether a is transposed, [..., K, M]. Default: false. */
  readonly transA?: boolean;
  /** Whether b is transposed, [..., N, K]. Default: false. */
  readonly transB?: boolean;
  /** Bias, [N], added to every row. Default: none. */
  readonly bias?: Tensor;
  /** Element-wise function applied after the bias. Default: none. */
  readonly activation?: Activation;
  /** Tensor of the product's shape, such as a residual, which is added last. Default: none. */
  readonly addend?: Tensor;
}

/**
 * Matrix product y = act(op(a) op(b) + bias) + addend, where op(a) transposes the last two dimensions of a if `transA` is set,
 * and op(b) those of b if `transB` is set.
 *
 * @param a [..., M, K], or [..., K, M] with `transA`
 * @param b [..., K, N], or [..., N, K] with `transB`; its leading dimensions equal those of a
 * @returns [..., M, N]
 * @throws {UserError} if the shapes are inconsistent; the message contains the shapes
 *
 * @example
 * ```ts
 * import { input, matmul } from "../../mod.ts";
 * const x = input("x", [12, 64]);
 * const weight = input("weight", [256, 64]); // [out, in], as PyTorch stores it
 * const y = matmul(x, weight, { transB: true, activation: "gelu" }); // [12, 256]
 * ```
 * @category Tensors
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transA = false, transB = false, bias, addend, activation } = options;
  const inputs = [a, b, ...(bias ? [bias] : []), ...(addend ? [addend] : [])];
  return apply(matmulOp, inputs, { transA, transB, bias: !!bias, addend: !!addend, activation })[0];
}

/**
 * A linear layer over the last dimension: y = act(x W^T + bias) + addend.
 *
 * @param x [..., in]
 * @param weight [out, in]
 * @returns [..., out]
 * @category Tensors
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  options: Omit<MatmulOptions, "transA" | "transB"> = {},
): Tensor {
  const inner = x.shape.at(-1)!;
  const rows = reshape(x, [sizeOf(x) / inner, inner]);
  return reshape(matmul(rows, weight, { ...options, transB: true }), [
    ...x.shape.slice(0, -1),
    weight.shape[0],
  ]);
}
