// Implementations of attention to check: heed's kernels on a device, or a user's function that computes one head.
import { settled } from "../base/user_promise.ts";
import { booleanMask, modifier, type ScoreModifier } from "../../kernels/attention/modifier.ts";
import { attention } from "../../kernels/attention/op.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { less, lookup, minus, over, plus, select, variable } from "../../kernels/expression/expression.ts";
import { grad } from "../../kernels/gradient.ts";
import type { Device } from "../device/device.ts";
import { didYouMean, UserError } from "../base/errors.ts";
import { describe, exportsOf, misspelling } from "../base/user_file.ts";
import { input } from "../graph/structure.ts";
import type { Tensor, Values } from "../graph/tensor.ts";
import type { AttentionCase, CaseModifier } from "./attention_cases.ts";
import type { DenseTensor } from "./oracle.ts";

/** The results of an implementation: values, and optionally gradients. */
export interface AttentionFound {
  /** [B, T, H, dv] */
  readonly z: ArrayLike<number>;
  /** [B, T, H, d] */
  readonly dq?: ArrayLike<number>;
  /** [B, S, Hkv, d] */
  readonly dk?: ArrayLike<number>;
  /** [B, S, Hkv, dv] */
  readonly dv?: ArrayLike<number>;
}

/** An implementation of attention. */
export interface AttentionImplementation {
  /** Its name in reports. */
  readonly name: string;
  /** Whether the implementation supports score modifiers. If it does, every fourth case has one. Default: false. */
  readonly modifiers?: boolean;
  /** Computes a case; an error is reported as a failure of the case. */
  run(given: AttentionCase): Promise<AttentionFound>;
}

/** The argument of a user's function: the matrices of one head of one sample.
 * @category Attention */
export interface AttentionInput {
  /** [T][d] */
  readonly q: number[][];
  /** [S][d] */
  readonly k: number[][];
  /** [S][dv] */
  readonly v: number[][];
  /** [T][S]; true if the query attends to the key. */
  readonly mask: boolean[][];
  /** Factor by which q . k is multiplied. */
  readonly scale: number;
}

/** Gradients that a user's function returns. */
export interface AttentionInputGradients {
  /** [T][d] */
  readonly dq: number[][];
  /** [S][d] */
  readonly dk: number[][];
  /** [S][dv] */
  readonly dv: number[][];
}

/** A module with a user's attention, for `check_attention --file`. */
export interface AttentionModule {
  /** Returns the values z [T][dv]. The row of a query without visible keys must be zeros. */
  attention(given: AttentionInput): number[][] | Promise<number[][]>;
  /** Returns the gradients of sum(dz * z), where dz [T][dv] is the upstream gradient. */
  attentionGradient?(
    given: AttentionInput & { readonly dz: number[][] },
  ): AttentionInputGradients | Promise<AttentionInputGradients>;
}

/** Returns a case's modifier in the form that the kernels take. */
function scoreModifier({ name }: CaseModifier, table: Tensor): ScoreModifier {
  const [score, i, j] = ["score", "i", "j"].map(variable);
  if (name === "hides") {
    return modifier(select(less(j, lookup("table", table.shape, i)), -Infinity, score), { table });
  }
  const notSecond = over(minus(i, 1), minus(i, 1));
  return modifier(plus(score, lookup("table", table.shape, notSecond, minus(j, i))), { table });
}

/**
 * Returns an implementation that runs heed's kernels on a device, forward and backward.
 *
 * @example
 * ```ts
 * import { referenceDevice } from "../../mod.ts";
 * import { attentionCase, kernelAttention } from "./mod.ts";
 * using device = referenceDevice();
 * const { z } = await kernelAttention(device).run(attentionCase(0));
 * ```
 */
export function kernelAttention(device: Device): AttentionImplementation {
  return {
    name: `heed on ${device.adapter}`,
    modifiers: true,
    async run({ q, k, v, dz, mask, scale, activation, modifier }) {
      const feeds: Record<string, Values> = {};
      const given = (name: string, { shape, data }: DenseTensor): Tensor => {
        feeds[name] = Float32Array.from(data);
        return input(name, shape);
      };
      const x = [given("q", q), given("k", k), given("v", v)];
      const z = attention(x[0], x[1], x[2], {
        scale,
        activation,
        causal: false,
        score: modifier && scoreModifier(modifier, given("table", modifier.table)),
        mask: mask && booleanMask(given("mask", mask)),
      });
      const [dq, dk, dv] = grad(sumAll(multiply(z, given("dz", dz))), x);
      using program = await device.compile({ outputs: { z, dq, dk, dv } });
      program.run(feeds);
      const outputs = await program.read(["z", "dq", "dk", "dv"]);
      return { z: outputs[0], dq: outputs[1], dk: outputs[2], dv: outputs[3] };
    },
  };
}

/** Returns the matrix x[b, :, h, :] of a tensor x [B, rows, heads, columns]. */
function matrixOf({ shape: [, rows, heads, columns], data }: DenseTensor, b: number, h: number): number[][] {
  return Array.from({ length: rows }, (_, i) => {
    const start = ((b * rows + i) * heads + h) * columns;
    return Array.from({ length: columns }, (_, e) => data[start + e]);
  });
}

/** Returns the matrix that a user's function returned; throws UserError if its shape is wrong or an element is not a number. */
export function checkedMatrix(value: unknown, rows: number, columns: number, what: string): number[][] {
  const list = (x: unknown): x is ArrayLike<unknown> =>
    Array.isArray(x) || (ArrayBuffer.isView(x) && "length" in x);
  const size = !list(value)
    ? typeof value
    : `[${value.length}][${
      [...new Set(Array.from(value, (row) => list(row) ? row.length : "?"))].join(" or ")
    }]`;
  if (size !== `[${rows}][${columns}]`) {
    throw new UserError(`${what} is ${size}, expected [${rows}][${columns}].`);
  }
  return Array.from(value as ArrayLike<ArrayLike<unknown>>, (row, i) =>
    Array.from(row, (value, e) => {
      if (typeof value === "number") return value;
      throw new UserError(`${what}[${i}][${e}]: expected a number, found ${describe(value)}.`);
    }));
}

/** Adds a matrix to sums[b, :, h, :], where `sums` is a tensor [B, rows, heads, columns]. */
export function addMatrix(
  sums: Float64Array,
  [, rows, heads, columns]: readonly number[],
  matrix: number[][],
  [b, h]: readonly number[],
): void {
  for (let i = 0; i < rows; i++) {
    for (let e = 0; e < columns; e++) sums[((b * rows + i) * heads + h) * columns + e] += matrix[i][e];
  }
}

/**
 * Yields every head h of every sample b of a case, with the index `kv` of its key/value head and new copies of its
 * matrices.
 */
export function* headsOfCase({ q, k, v, mask, scale }: AttentionCase): Generator<
  { b: number; h: number; kv: number; input: AttentionInput }
> {
  const [B, T, H] = q.shape;
  const [S, HKV] = k.shape.slice(1);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const kv = Math.floor(h * HKV / H);
      const seen = (i: number, j: number) =>
        !mask ||
        mask.data[(((b % mask.shape[0]) * mask.shape[1] + h % mask.shape[1]) * T + i) * S + j] === 1;
      const input = {
        q: matrixOf(q, b, h),
        k: matrixOf(k, b, kv),
        v: matrixOf(v, b, kv),
        mask: Array.from({ length: T }, (_, i) => Array.from({ length: S }, (_, j) => seen(i, j))),
        scale,
      };
      yield { b, h, kv, input };
    }
  }
}

const NAMES = ["attention", "attentionGradient"] as const;

/**
 * Wraps a user's functions, which are called once per sample and head with plain nested arrays; gradients of keys and values
 * are summed over the heads that share them.
 *
 * @param name name of the implementation in reports
 * @throws {UserError} if the module has no function `attention`
 *
 * @example Values that are all zeros: `checkAttention` reports them
 * ```ts
 * import { functionAttention } from "./mod.ts";
 * functionAttention("zeros", { attention: ({ q, v }) => q.map(() => v[0].map(() => 0)) });
 * ```
 */
export function functionAttention(name: string, module: AttentionModule): AttentionImplementation {
  if (typeof module.attention !== "function") {
    const hint = didYouMean("attention", Object.keys(module));
    throw new UserError(`${name}: exports no function "attention".${hint}`);
  }
  if (module.attentionGradient !== undefined && typeof module.attentionGradient !== "function") {
    throw new UserError(
      `${name}: attentionGradient: expected a function, found ${describe(module.attentionGradient)}.`,
    );
  }
  const zeros = (shape: readonly number[]) => new Float64Array(shape.reduce((a, b) => a * b, 1));
  return {
    name,
    async run(given) {
      const { q, k, v, dz } = given;
      const z = zeros(dz.shape);
      const gradients = { dq: zeros(q.shape), dk: zeros(k.shape), dv: zeros(v.shape) };
      const add = (sums: Float64Array, { shape }: DenseTensor, matrix: unknown, what: string, at: number[]) =>
        addMatrix(sums, shape, checkedMatrix(matrix, shape[1], shape[3], what), at);
      for (const { b, h, kv, input } of headsOfCase(given)) {
        // The function gets a copy of the input, because it may modify its arguments.
        add(z, dz, await settled(module.attention(structuredClone(input))), "attention()", [b, h]);
        if (!module.attentionGradient) continue;
        const promised = module.attentionGradient({ ...input, dz: matrixOf(dz, b, h) });
        const gradient = await settled(promised);
        add(gradients.dq, q, gradient?.dq, "attentionGradient().dq", [b, h]);
        add(gradients.dk, k, gradient?.dk, "attentionGradient().dk", [b, kv]);
        add(gradients.dv, v, gradient?.dv, "attentionGradient().dv", [b, kv]);
      }
      return module.attentionGradient ? { z, ...gradients } : { z };
    },
  };
}

/**
 * Loads the function `attention` that a TypeScript file exports, and the function `attentionGradient` if the file exports it.
 *
 * @throws {UserError} if the file cannot be imported, or has no such export
 *
 * @example
 * ```ts
 * import { loadAttention } from "./mod.ts";
 * await Deno.writeTextFile("zeros.ts", "export const attention = ({ q, v }) => q.map(() => v[0].map(() => 0));");
 * const implementation = await loadAttention("zeros.ts");
 * ```
 */
export async function loadAttention(file: string): Promise<AttentionImplementation> {
  const exported = await exportsOf(file, "--file");
  const wrong = misspelling(Object.keys(exported), [...NAMES]);
  if (wrong !== undefined) {
    throw new UserError(
      `${file}: expected the exports ${NAMES.join(", ")}, found ${wrong.name}. Did you mean "${wrong.near}"?`,
    );
  }
  const given = Object.fromEntries(NAMES.filter((key) => key in exported).map((key) => [key, exported[key]]));
  if (!("attention" in given)) {
    throw new UserError(
      `${file}: exports no function "attention".${didYouMean("attention", Object.keys(exported))}`,
    );
  }
  return functionAttention(file, given as unknown as AttentionModule);
}
