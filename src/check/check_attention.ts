// Compares an attention implementation with the dense float64 oracle on random cases. Run this check before any timing or
// training.
import { UserError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import { attentionCase, oracleOptions } from "./attention_cases.ts";
import type { AttentionCase, AttentionCaseOptions } from "./attention_cases.ts";
import { addMatrix, headsOfCase } from "./attention_implementation.ts";
import type { AttentionFound, AttentionImplementation } from "./attention_implementation.ts";
import { headOracle, type LayerChange } from "./layer_oracle.ts";
import { differenceOf, matching, MISTAKES, relativeError } from "./mistakes.ts";
import { attentionOracle, attentionOracleGradient } from "./oracle.ts";

/** The compared tensors: the values, and the gradients of the three inputs. */
export type Checked = "z" | "dq" | "dk" | "dv";

const CHECKED: readonly Checked[] = ["z", "dq", "dk", "dv"];

/**
 * Relative L2 tolerances for float32. If the norm of the expected tensor is below `floor`, the error is relative to
 * `floor`, because only rounding errors remain where terms of size 1 cancel. For example, the gradient of softmax over one
 * key is 0.
 */
const ALLOWED: Readonly<Record<Checked, { readonly error: number; readonly floor: number }>> = {
  z: { error: 1e-5, floor: 1e-3 },
  dq: { error: 1e-4, floor: 0.1 },
  dk: { error: 1e-4, floor: 0.1 },
  dv: { error: 1e-4, floor: 0.1 },
};

/** The error of one tensor of one case. */
export interface TensorError {
  /** The tensor. */
  readonly tensor: Checked;
  /** ||actual - expected|| / max(||expected||, 1e-3 for z, 0.1 for gradients); NaN if an actual value is NaN. */
  readonly error: number;
  /** The tolerance. */
  readonly allowed: number;
}

/** The comparison of one case. */
export interface CheckedCase {
  /** The case. */
  readonly given: AttentionCase;
  /** The oracle's results. */
  readonly expected: Readonly<Record<Checked, Float64Array>>;
  /** The implementation's results; undefined if it threw. */
  readonly actual: AttentionFound | undefined;
  /** Errors of the tensors that the implementation computed. */
  readonly errors: readonly TensorError[];
  /** The error that the implementation threw, as a sentence or a stack; undefined if it threw none. */
  readonly failure: string | undefined;
  /** Whether nothing was thrown and every error is within its tolerance. */
  readonly passed: boolean;
}

/** The result of a check. */
export interface AttentionCheck {
  /** Name of the implementation. */
  readonly implementation: string;
  /** Number of cases. */
  readonly count: number;
  /** The case and tensor with the largest error relative to its tolerance; undefined if nothing was computed. */
  readonly worst: (TensorError & { readonly index: number }) | undefined;
  /** Cases that failed. */
  readonly failed: readonly CheckedCase[];
  /** Mistakes that reproduce the actual values in every case (see `MISTAKES`). */
  readonly suspects: readonly string[];
}

/** Options of `checkAttention`. */
export interface CheckAttentionOptions extends AttentionCaseOptions {
  /** Number of cases. Default: 100. */
  readonly count?: number;
  /** Index of the only case to check. Default: all cases are checked. */
  readonly only?: number;
  /** Called after each case. */
  readonly onCase?: (checked: CheckedCase) => void;
}

/** Matches the first frame of a stack that is outside the user's function. */
const HEED_FRAME = /^ +at (async )?(Object\.run|checkAttentionCase|checkLayerCase) /;

/**
 * Returns the text that a report shows for an error of an implementation: the message of a `UserError`, else the error's
 * stack without heed's own frames.
 */
export function failureOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const lines = (error.stack ?? error.message).split("\n");
  const frame = lines.findIndex((line) => HEED_FRAME.test(line));
  return (frame < 0 ? lines : lines.slice(0, frame)).join("\n");
}

/** Returns the error divided by its tolerance, or Infinity if the error is NaN. */
const excess = ({ error, allowed }: TensorError): number => Number.isNaN(error) ? Infinity : error / allowed;

/**
 * Runs one case and compares it with the oracle.
 *
 * @example
 * ```ts
 * import { attentionCase, checkAttentionCase, functionAttention } from "./mod.ts";
 * const zeros = functionAttention("zeros", { attention: ({ q, v }) => q.map(() => v[0].map(() => 0)) });
 * (await checkAttentionCase(zeros, attentionCase(0))).passed; // false
 * ```
 */
export async function checkAttentionCase(
  implementation: AttentionImplementation,
  given: AttentionCase,
): Promise<CheckedCase> {
  const { q, k, v, dz } = given;
  const options = oracleOptions(given);
  const expected = {
    z: attentionOracle(q, k, v, options).z,
    ...attentionOracleGradient(q, k, v, dz, options),
  };
  let actual: AttentionFound | undefined;
  let failure: string | undefined;
  try {
    actual = await implementation.run(given);
  } catch (error) {
    failure = failureOf(error);
  }
  const errors = CHECKED.flatMap((tensor): TensorError[] => {
    const numbers = actual?.[tensor];
    if (!numbers) return [];
    const { error, floor } = ALLOWED[tensor];
    return [{ tensor, error: relativeError(numbers, expected[tensor], floor), allowed: error }];
  });
  const passed = failure === undefined && errors.every((error) => excess(error) <= 1);
  return { given, expected, actual, errors, failure, passed };
}

/**
 * Checks an attention implementation against the dense float64 oracle on random cases (see `attentionCase`). The relative
 * error in the L2 norm may be at most 1e-5 for the values, and at most 1e-4 for dq, dk and dv, which are checked if the
 * implementation returns them.
 *
 * @param implementation `kernelAttention(device)`, `functionAttention(name, module)` or `await loadAttention(file)`
 * @throws {UserError} if `count` is below 1
 *
 * @example
 * ```ts
 * import { referenceDevice } from "../../mod.ts";
 * import { checkAttention, kernelAttention } from "./mod.ts";
 * using device = referenceDevice();
 * const { failed, worst } = await checkAttention(kernelAttention(device), { count: 10 });
 * console.log(failed.length, worst?.error); // 0, about 1e-7
 * ```
 */
export async function checkAttention(
  implementation: AttentionImplementation,
  { count = 100, only, onCase, ...options }: CheckAttentionOptions = {},
): Promise<AttentionCheck> {
  if (!(count >= 1)) throw new UserError(`checkAttention: ${count} cases, expected at least 1.`);
  const [first, cases] = only === undefined ? [0, count] : [only, 1];
  const all: CheckedCase[] = [];
  let worst: AttentionCheck["worst"];
  for (let index = first; index < first + cases; index++) {
    const done = index - first;
    reportProgress({ what: `checking ${implementation.name}: cases`, done, total: cases });
    const checked = await checkAttentionCase(
      implementation,
      attentionCase(index, { modifiers: implementation.modifiers, ...options }),
    );
    for (const error of checked.errors) {
      if (!worst || excess(error) > excess(worst)) worst = { ...error, index };
    }
    all.push(checked);
    onCase?.(checked);
  }
  const failed = all.filter(({ passed }) => !passed);
  return { implementation: implementation.name, count: cases, worst, failed, suspects: suspectsOf(all) };
}

/**
 * Returns the mistakes that reproduce the actual values in every case; none unless every case uses softmax without a
 * modifier.
 */
function suspectsOf(all: readonly CheckedCase[]): string[] {
  const known = all.every(({ given, actual }) => actual && given.activation === "softmax" && !given.modifier);
  const right = all.every(({ errors }) =>
    errors.every((error) => error.tensor !== "z" || excess(error) <= 1)
  );
  if (!known || right) return [];
  const { error: allowed, floor } = ALLOWED.z;
  return matching(
    MISTAKES.attention,
    all.map(({ given, actual }) => (change) =>
      differenceOf(actual!.z, changedValues(given, change), floor) <= allowed
    ),
  );
}

/** Returns the values [B, T, H, dv] of a case, computed with the wrong steps that `change` names. */
function changedValues(given: AttentionCase, change: LayerChange): Float64Array {
  const z = new Float64Array(given.dz.data.length);
  for (const { b, h, input } of headsOfCase(given)) {
    addMatrix(z, given.dz.shape, headOracle(input.q, input.k, input.v, input, change), [b, h]);
  }
  return z;
}
