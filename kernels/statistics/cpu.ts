// Statistics on the host: the kernels' mathematics, a chunk in one round.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { PARTIAL, type Rows, type RowsAttrs } from "./chunks.ts";

/** What is known of some elements; see partial.wgsl. */
interface Partial {
  finite: number;
  zeros: number;
  exponent: number;
  low: number;
  high: number;
  mean: number;
  rest: number;
  m2: number;
}

const EMPTY: Partial = {
  finite: 0,
  zeros: 0,
  exponent: -126,
  low: Infinity,
  high: -Infinity,
  mean: 0,
  rest: 0,
  m2: 0,
};

function merge(a: Partial, b: Partial): Partial {
  if (a.finite === 0) return b;
  const exponent = Math.max(a.exponent, b.exponent);
  const [p, q] = [2 ** (a.exponent - exponent), 2 ** (b.exponent - exponent)];
  const finite = a.finite + b.finite;
  const share = b.finite / finite;
  const delta = (q * b.mean - p * a.mean) + (q * b.rest - p * a.rest);
  const shift = delta * share + p * a.rest;
  const mean = p * a.mean + shift;
  return {
    finite,
    zeros: a.zeros + b.zeros,
    exponent,
    low: Math.min(a.low, b.low),
    high: Math.max(a.high, b.high),
    mean,
    rest: shift - (mean - p * a.mean),
    m2: p * p * a.m2 + q * q * b.m2 + delta * delta * (share * a.finite),
  };
}

const write = (rows: Floats, i: number, p: Partial): void => {
  rows.set([p.finite, p.zeros, p.exponent, p.low, p.high, p.mean, p.rest, p.m2], PARTIAL * i);
};

function read(rows: Values, i: number): Partial {
  const [finite, zeros, exponent, low, high, mean, rest, m2] = rows.subarray(PARTIAL * i, PARTIAL * (i + 1));
  return { finite, zeros, exponent, low, high, mean, rest, m2 };
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

/** The partial of one chunk: two passes over it. */
function partialOf(x: Values, row: Values, rows: Rows | null): Partial {
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
  p.rest = mean - p.mean;
  return p;
}

/** A partial a chunk. */
export function chunkStatisticsCpu(
  [x, table]: readonly Values[],
  [partials]: readonly Values[],
  { attrs: rows }: Call<RowsAttrs | null>,
): void {
  for (let i = 0; 4 * i < table.length; i++) {
    const own = rows && i >= rows.contiguous ? rows : null;
    write(partials as Floats, i, partialOf(x, table.subarray(4 * i, 4 * i + 4), own));
  }
}

/** l2 of the elements times 2^-exponent. */
const normOf = ({ finite, mean, rest, m2 }: Partial): number => Math.sqrt(m2 + finite * (mean + rest) ** 2);

/** The row of a part, from those of its samples. */
function rowOf(samples: readonly Partial[], elements: number): number[] {
  const all = samples.reduce(merge, EMPTY);
  const unit = 2 ** all.exponent;
  const norms = samples.map((sample) => normOf(sample) * 2 ** sample.exponent);
  const { low, high } = all.finite ? all : { low: 0, high: 0 };
  const mean = all.mean + all.rest;
  const variance = low === high ? 0 : all.m2 / Math.max(all.finite, 1);
  return [
    low === high ? low : mean * unit,
    Math.sqrt(variance) * unit,
    low,
    high,
    Math.max(-low, high),
    Math.sqrt(variance + mean * mean) * unit,
    normOf(all) * unit,
    all.zeros / elements,
    elements - all.finite,
    norms.reduce((sum, norm) => sum + norm / norms.length, 0),
    norms.reduce((a, b) => Math.max(a, b)),
    norms.reduce((a, b) => Math.min(a, b)),
  ];
}

/** A row a part. */
export function statisticsCpu(inputs: readonly Values[], [rows]: readonly Values[], { outputs }: Call): void {
  const [partials, samples, parts] = inputs;
  const [count, width] = outputs[0].shape;
  for (let part = 0; part < count; part++) {
    const [first, length, elements] = parts.subarray(4 * part, 4 * part + 3);
    const own = Array.from({ length }, (_, i) => {
      const [row, chunks] = samples.subarray(2 * (first + i), 2 * (first + i) + 2);
      return Array.from({ length: chunks }, (_, k) => read(partials, row + k)).reduce(merge, EMPTY);
    });
    (rows as Floats).set(rowOf(own, elements), width * part);
  }
}
