// The table of tensor statistics, one entry per statistic, and their computation on the host. To add a statistic, add an entry
// here; if it needs a value that partials do not have yet, add this value in partial.wgsl and simd.ts.
import type { Values } from "../../src/graph/tensor.ts";
import { double, type F64, f64, type I32, select } from "../../src/wasm/mod.ts";
import type { Rows } from "./chunks.ts";

/** How charts show a statistic. */
export interface StatisticText {
  /** Axis title, for a statistic with a unit or with a name that does not explain itself. */
  readonly label?: string;
  /** Smallest and largest possible value. */
  readonly limits?: readonly [low: number, high: number];
}

/** The partial of an empty set; see partial.wgsl. */
export const EMPTY = {
  finite: 0,
  zeros: 0,
  exponent: -126,
  low: Infinity,
  high: -Infinity,
  mean: 0,
  compensation: 0,
  m2: 0,
};

/** Partial statistics of a set of elements, which can be merged with the partial statistics of other sets. */
export type Partial = typeof EMPTY;

/** Number of fields of a partial. */
export const PARTIAL = Object.keys(EMPTY).length;

/** Returns the partial of the union of two sets, given the partials of the sets. */
export function merge(a: Partial, b: Partial): Partial {
  if (a.finite === 0) return b;
  const exponent = Math.max(a.exponent, b.exponent);
  const [p, q] = [2 ** (a.exponent - exponent), 2 ** (b.exponent - exponent)];
  const finite = a.finite + b.finite;
  const share = b.finite / finite;
  const delta = (q * b.mean - p * a.mean) + (q * b.compensation - p * a.compensation);
  const shift = delta * share + p * a.compensation;
  const mean = p * a.mean + shift;
  return {
    finite,
    zeros: a.zeros + b.zeros,
    exponent,
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
    mean,
    compensation: shift - (mean - p * a.mean),
    m2: p * p * a.m2 + q * q * b.m2 + delta * delta * (share * a.finite),
  };
}

/** Calls `take` with every element of a chunk. */
function visit(
  x: Values,
  [share, shares, begin, size]: Values,
  rows: Rows | null,
  take: (value: number) => void,
): void {
  const first = Math.floor(share * size / shares);
  const end = Math.floor((share + 1) * size / shares);
  if (!rows) { for (let i = begin + first; i < begin + end; i++) take(x[i]); }
  else {for (let n = first; n < end; n++) {
      take(x[begin + Math.floor(n / rows.length) * rows.every + n % rows.length]);
    }}
}

/** Computes the partial of one chunk in two passes over its elements. */
export function partialOf(x: Values, row: Values, rows: Rows | null): Partial {
  const p = { ...EMPTY };
  let sum = 0;
  visit(x, row, rows, (value) => {
    if (value === 0) p.zeros++;
    if (!Number.isFinite(value)) return;
    p.finite++;
    sum += value;
    p.low = Math.min(p.low, value);
    p.high = Math.max(p.high, value);
  });
  if (p.finite === 0) return p;
  const top = Math.max(-p.low, p.high);
  if (top > 0) p.exponent = Math.min(Math.max(Math.floor(Math.log2(top)), -126), 126);
  const scale = 2 ** -p.exponent;
  const mean = sum / p.finite * scale;
  visit(x, row, rows, (value) => {
    if (Number.isFinite(value)) p.m2 += (value * scale - mean) ** 2;
  });
  p.mean = Math.fround(mean);
  p.compensation = mean - p.mean;
  return p;
}

/** Returns the l2 norm of the elements, times 2^-exponent. */
const normOf = ({ finite, mean, compensation, m2 }: Partial): number =>
  Math.sqrt(m2 + finite * (mean + compensation) ** 2);

/**
 * Returns the values from which the statistics of a part are computed, named as in finish.wgsl, and the l2 norm of each sample.
 */
export function summaryOf(samples: readonly Partial[], elements: number) {
  const all = samples.reduce(merge, EMPTY);
  const { low, high } = all.finite ? all : { low: 0, high: 0 };
  return {
    all,
    elements,
    unit: 2 ** all.exponent,
    mean: all.mean + all.compensation,
    variance: low === high ? 0 : all.m2 / Math.max(all.finite, 1),
    low,
    high,
    norms: samples.map((sample) => normOf(sample) * 2 ** sample.exponent),
  };
}

/**
 * The values that a part's statistics are computed from in WebAssembly; see finish_simd.ts. Each value may be used several times.
 */
export interface WasmSummary {
  /** Number of elements. */
  readonly elements: F64;
  /** Number of elements that are 0. */
  readonly zeros: F64;
  /** Number of finite elements. */
  readonly finite: F64;
  /** max(finite, 1) */
  readonly n: F64;
  /** 1 if all finite elements are equal, else 0. */
  readonly equal: I32;
  /** Smallest finite element; 0 if there is none. */
  readonly low: F64;
  /** Largest finite element; 0 if there is none. */
  readonly high: F64;
  /** Mean of the finite elements. */
  readonly mean: F64;
  /** Sum of the squared distances of the finite elements from their mean. */
  readonly m2: F64;
  /** Sum of the squares of the finite elements. */
  readonly squares: F64;
  /** Number of samples. */
  readonly samples: F64;
  /** Sum of the l2 norms of the samples. */
  readonly norms: F64;
  /** Largest l2 norm of a sample. */
  readonly longest: F64;
  /** Smallest l2 norm of a sample. */
  readonly shortest: F64;
}

/** A statistic of any tensor. */
export interface TensorStatistic extends StatisticText {
  /** WGSL expression for the value; it uses the variables of finish.wgsl. */
  readonly column: string;
  /** Computes the value on the host. */
  readonly host: (summary: ReturnType<typeof summaryOf>) => number;
  /** Computes the value in WebAssembly. */
  readonly wasm: (summary: WasmSummary) => F64;
  /** True if the statistic covers all elements, so that it is defined even if none is finite. */
  readonly ofAll?: true;
}

/** The statistics of a tensor, in the order of the columns and of the fields in the log. */
export const TENSOR_TABLE: Readonly<Record<string, TensorStatistic>> = {
  mean: {
    column: "select(mean * unit, all.low, equal)",
    host: ({ low, high, mean, unit }) => low === high ? low : mean * unit,
    wasm: ({ equal, low, mean }) => select(equal, low, mean),
  },
  std: {
    column: "select(sqrt(all.m2 / n) * unit, 0f, equal)",
    host: ({ variance, unit }) => Math.sqrt(variance) * unit,
    wasm: ({ equal, m2, n }) => select(equal, double(0), f64.sqrt(f64.div(m2, n))),
  },
  min: { column: "select(0f, all.low, some)", host: ({ low }) => low, wasm: ({ low }) => low },
  max: { column: "select(0f, all.high, some)", host: ({ high }) => high, wasm: ({ high }) => high },
  absmax: {
    column: "select(0f, max(-all.low, all.high), some)",
    host: ({ low, high }) => Math.max(-low, high),
    wasm: ({ low, high }) => f64.max(f64.neg(low), high),
    label: "largest magnitude",
  },
  rms: {
    column: "sqrt(all.m2 / n + mean * mean) * unit",
    host: ({ variance, mean, unit }) => Math.sqrt(variance + mean * mean) * unit,
    wasm: ({ squares, n }) => f64.sqrt(f64.div(squares, n)),
    label: "root mean square",
  },
  l2: {
    column: "norm_of(all) * unit",
    host: ({ all, unit }) => normOf(all) * unit,
    wasm: ({ squares }) => f64.sqrt(squares),
    label: "L2 norm",
    limits: [0, Infinity],
  },
  zeros: {
    column: "f32(all.zeros) / f32(elements)",
    host: ({ all, elements }) => all.zeros / elements,
    wasm: ({ zeros, elements }) => f64.div(zeros, elements),
    ofAll: true,
    label: "zeros (share)",
    limits: [0, 1],
  },
  nonfinite: {
    column: "f32(elements - all.finite)",
    host: ({ all, elements }) => elements - all.finite,
    wasm: ({ finite, elements }) => f64.sub(elements, finite),
    ofAll: true,
    label: "values that are not finite",
  },
  pnorm_mean: {
    column: "norms / f32(end - first) * unit",
    host: ({ norms }) => norms.reduce((sum, norm) => sum + norm / norms.length, 0),
    wasm: ({ norms, samples }) => f64.div(norms, samples),
  },
  pnorm_max: {
    column: "longest",
    host: ({ norms }) => norms.reduce((a, b) => Math.max(a, b)),
    wasm: ({ longest }) => longest,
  },
  pnorm_min: {
    column: "shortest",
    host: ({ norms }) => norms.reduce((a, b) => Math.min(a, b)),
    wasm: ({ shortest }) => shortest,
  },
};

/**
 * Names of the statistics, in the order of a row.
 *
 * Computed from the finite elements of a part: mean, std = sqrt(mean (x - mean)^2), min, max, absmax, rms = sqrt(mean x^2) and
 * l2 = sqrt(sum x^2). Computed from all elements: zeros, the share of elements that are 0 or -0, and nonfinite, the number of NaN
 * and infinities. pnorm_mean, pnorm_max and pnorm_min are the mean, largest and smallest l2 norm of the samples, where only the
 * finite elements of a sample count. If no element is finite, all statistics except zeros and nonfinite are 0.
 */
export const STATISTICS: readonly string[] = Object.keys(TENSOR_TABLE);
