// Functions that report attention checks: a line for each check, and a page of text and a log record for each case.
import { isBernoulli } from "../../kernels/attention/sizes.ts";
import { maximum } from "../base/extremes.ts";
import { alignedRows } from "../base/table.ts";
import type { AttentionCheck, Checked, CheckedCase } from "./check_attention.ts";
import type { AttentionCase } from "./attention_cases.ts";
import type { TaskRecord } from "../log/task_records.ts";
import type { DenseTensor } from "./oracle.ts";

/** Formats an error with two significant digits. */
export const short = (x: number): string => Number.isNaN(x) ? "NaN" : x.toExponential(1);
const shapeOf = ({ shape }: DenseTensor): string => `[${shape.join(", ")}]`;

/**
 * Returns one line with the number of cases, the worst error, and the number of failures.
 *
 * @example
 * ```ts
 * import { checkSummary } from "./mod.ts";
 * checkSummary({ implementation: "mine.ts", count: 100, worst: undefined, failed: [], suspects: [] });
 * ```
 */
export function checkSummary({ implementation, count, worst, failed }: AttentionCheck): string {
  const most = worst
    ? `, worst error ${
      short(worst.error)
    } (${worst.tensor} of case ${worst.index}, allowed ${worst.allowed.toExponential()})`
    : "";
  return verdict(implementation, count, failed.length, most);
}

/** Formats the result of a check as one line that ends with the worst error. */
export function verdict(implementation: string, count: number, failed: number, worst: string): string {
  const cases = `${count} ${count === 1 ? "case" : "cases"}`;
  return failed > 0
    ? `FAIL ${implementation}: ${failed} of ${cases} failed${worst}`
    : `ok   ${implementation}: ${cases}${worst}`;
}

/**
 * True if a case is not an edge case, that is, if it has several queries and keys, no score modifier and no fully masked
 * row.
 */
function isOrdinary({ q, k, mask, modifier }: AttentionCase): boolean {
  const [T, S] = [q.shape[1], k.shape[1]];
  if (T === 1 || S === 1 || modifier) return false;
  if (!mask) return true;
  const seen = Array.from(mask.data);
  return seen.every((_, at) => at % S > 0 || seen.slice(at, at + S).includes(1));
}

/**
 * Returns the failed case for which q k^T takes the fewest multiplications (B H T S d). Cases that are not edge cases are
 * preferred.
 */
export function smallestFailure({ failed }: AttentionCheck): CheckedCase | undefined {
  const products = ({ given: { q, k } }: CheckedCase) => q.data.length * k.shape[1];
  const ordinary = failed.filter(({ given }) => isOrdinary(given));
  return [...(ordinary.length ? ordinary : failed)].sort((a, b) => products(a) - products(b))[0];
}

/** Formats a number for a cell of a matrix. */
export const cell = (x: number): string => Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(6)));

/** Aligns cells in columns of equal width. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  return alignedRows(rows, { least: maximum(rows.flat().map((text) => text.length)), gap: " " });
}

/**
 * Formats each matrix [rows, columns] of a tensor. `head` is the index of the dimension of heads: 1 for a tensor [B, H,
 * rows, columns], and 2 for a tensor [B, rows, H, columns].
 */
function matrices(
  { shape, data }: DenseTensor,
  head: 1 | 2,
  text: (x: number) => string,
): { title: string; lines: string[] }[] {
  const [B, H] = [shape[0], shape[head]];
  const [rows, columns] = [shape[3 - head], shape[3]];
  return Array.from({ length: B * H }, (_, n) => {
    const [b, h] = [Math.floor(n / H), n % H];
    const cells = Array.from({ length: rows }, (_, i) => {
      const start = head === 1 ? ((b * H + h) * rows + i) * columns : ((b * rows + i) * H + h) * columns;
      return Array.from({ length: columns }, (_, j) => text(data[start + j]));
    });
    return { title: `sample ${b}, head ${h}`, lines: aligned(cells) };
  });
}

/** Indents the lines of a matrix, which are shown below its title. */
export const indented = (lines: readonly string[]): string[] => lines.map((line) => `    ${line}`);

/** Formats the inputs of a case with all their digits, which are few because the inputs are multiples of 1/16. */
function inputLines({ q, k, v, dz, mask, modifier }: AttentionCase, gradients: boolean): string[] {
  const given: [string, DenseTensor][] = [
    ["q", q],
    ["k", k],
    ["v", v],
    ...(gradients ? [["dz", dz]] : []) as [],
  ];
  const lines = given.flatMap(([name, tensor]) =>
    matrices(tensor, 2, (x) => String(x)).flatMap((
      { title, lines },
    ) => [`  ${name}, ${title}:`, ...indented(lines)])
  );
  if (modifier) {
    const numbers = Array.from(modifier.table.data).join(", ");
    lines.push(`  modifier ${modifier.name}, table ${shapeOf(modifier.table)}: ${numbers}`);
  }
  if (!mask) return [...lines, "  mask: every key is seen"];
  const all = (n: number, what: string) => n === 1 ? `every ${what}` : "";
  const scope = [all(mask.shape[0], "sample"), all(mask.shape[1], "head")].filter(Boolean).join(", ");
  return [
    ...lines,
    ...matrices(mask, 1, (x) => x ? "1" : ".").flatMap(({ title, lines }) => {
      const name = mask.shape[0] * mask.shape[1] === 1 ? scope : scope ? `${title} (${scope})` : title;
      return [`  mask, ${name} (1: attend):`, ...indented(lines)];
    }),
  ];
}

/** Formats the expected and the actual values of a tensor side by side, and marks the rows that differ. */
function comparison(tensor: Checked, { given, expected, actual }: CheckedCase): string[] {
  const { shape } = { z: given.dz, dq: given.q, dk: given.k, dv: given.v }[tensor];
  const numbers = actual?.[tensor];
  const left = matrices({ shape, data: expected[tensor] }, 2, cell);
  if (numbers?.length !== expected[tensor].length) {
    return left.flatMap(({ title, lines }) => [`  ${tensor}, ${title}, expected:`, ...indented(lines)]);
  }
  const right = matrices({ shape, data: numbers }, 2, cell);
  return left.flatMap(({ title, lines }, n) => [
    `  ${tensor}, ${title}, expected | found:`,
    ...sideBySide(lines, right[n].lines),
  ]);
}

/** Joins each row of the expected matrix with the same row of the actual matrix, and marks the rows that differ. */
export function sideBySide(expected: readonly string[], actual: readonly string[]): string[] {
  return indented(expected.map((line, i) => {
    const differs = line.trim().split(/ +/).join() !== actual[i].trim().split(/ +/).join();
    return `${line} | ${actual[i]}${differs ? "  <" : ""}`;
  }));
}

/**
 * Describes a case in full: its sizes and seed, every error, the inputs with all their digits, and the expected and actual
 * values of the wrong tensors, or of all tensors if none is wrong.
 *
 * @example
 * ```ts
 * import { attentionCase, checkAttentionCase, describeCase, functionAttention } from "./mod.ts";
 * const zeros = functionAttention("zeros", { attention: ({ q, v }) => q.map(() => v[0].map(() => 0)) });
 * console.log(describeCase(await checkAttentionCase(zeros, attentionCase(0))));
 * ```
 */
export function describeCase(checked: CheckedCase): string {
  const { given, errors, failure, passed } = checked;
  const { index, seed, q, k, v, scale, activation } = given;
  const wrong = errors.filter(({ error, allowed }) => !(error <= allowed)).map(({ tensor }) => tensor);
  const shown: Checked[] = wrong.length ? wrong : failure === undefined ? errors.map((x) => x.tensor) : ["z"];
  const bias = isBernoulli({ activation, divide: "none" }) ? ", bias -ln S" : "";
  return [
    `case ${index} of seed ${seed}: ${passed ? "passed" : "failed"}`,
    `  q ${shapeOf(q)} (B, T, H, d), k ${shapeOf(k)} (B, S, Hkv, d), v ${shapeOf(v)} (B, S, Hkv, dv)`,
    `  ${activation}${bias}, scale ${scale}`,
    ...errors.map(({ tensor, error, allowed }) =>
      `  ${tensor}: relative error ${short(error)}, allowed ${allowed.toExponential()}${
        error <= allowed ? "" : "  <"
      }`
    ),
    ...(failure === undefined ? [] : failure.split("\n").map((line) => `  ${line}`)),
    ...inputLines(given, shown.some((tensor) => tensor !== "z")),
    ...shown.flatMap((tensor) => comparison(tensor, checked)),
  ].join("\n");
}

/**
 * Returns the log record of a case: its sizes, and the error of each tensor, which is null if the tensor was not computed.
 *
 * @example
 * ```ts
 * import { attentionCase, caseRecord, checkAttentionCase, functionAttention } from "./mod.ts";
 * const zeros = functionAttention("zeros", { attention: ({ q, v }) => q.map(() => v[0].map(() => 0)) });
 * caseRecord("zeros", await checkAttentionCase(zeros, attentionCase(0))).passed; // false
 * ```
 */
export function caseRecord(
  implementation: string,
  { given, errors, failure, passed }: CheckedCase,
): Extract<TaskRecord, { type: "attention_case" }> {
  const { index, seed, q, k, v, mask, scale, activation, modifier } = given;
  const [batch, queries, heads, head_dim] = q.shape;
  const errorOf = (tensor: Checked) => errors.find((entry) => entry.tensor === tensor)?.error ?? null;
  return {
    type: "attention_case",
    implementation,
    case: index,
    seed,
    passed,
    z_error: errorOf("z"),
    dq_error: errorOf("dq"),
    dk_error: errorOf("dk"),
    dv_error: errorOf("dv"),
    batch,
    queries,
    keys: k.shape[1],
    heads,
    kv_heads: k.shape[2],
    head_dim,
    value_dim: v.shape[3],
    mask: mask ? mask.shape : null,
    scale,
    activation,
    modifier: modifier?.name ?? null,
    failure: failure ?? null,
  };
}
