// Fits the polynomials of kernels/expression/vector_functions.ts (Remez exchange): deno run tests/kernels/fit_polynomials.ts
// It prints coefficients from the highest power down, rounded to float32, and the largest weighted error without the rounding
// of evaluation.
import { erf } from "../../kernels/expression/erf.ts";

/** A function to approximate: the error is w(x) (f(x) - p(x)). */
interface Target {
  readonly f: (x: number) => number;
  readonly w: (x: number) => number;
  readonly from: number;
  readonly to: number;
  readonly degree: number;
}

/** Solves a x = b by elimination with pivots. */
function solve(a: number[][], b: number[]): number[] {
  const n = b.length;
  const rows = a.map((row, i) => [...row, b[i]]);
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[pivot][k])) pivot = i;
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= n; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}

const valueOf = (c: readonly number[], x: number): number => c.reduceRight((sum, ck) => sum * x + ck, 0);

/** The polynomial with the least maximal error, coefficients from the lowest power up: its error alternates at degree + 2 points. */
function minimax({ f, w, from, to, degree }: Target): number[] {
  const points = degree + 2;
  const at = (k: number, n: number) => (from + to) / 2 - (to - from) / 2 * Math.cos(Math.PI * k / n);
  let nodes = Array.from({ length: points }, (_, k) => at(k + 0.5, points));
  let c: number[] = [];
  for (let round = 0; round < 50; round++) {
    const matrix = nodes.map((x, i) => [
      ...Array.from({ length: degree + 1 }, (_, k) => x ** k),
      (i % 2 ? -1 : 1) / w(x),
    ]);
    c = solve(matrix, nodes.map(f)).slice(0, -1);
    // The largest error of each run of one sign.
    const grid = Array.from({ length: 20_001 }, (_, k) => at(k, 20_000));
    const runs: { x: number; error: number }[] = [];
    for (const x of grid) {
      const error = w(x) * (f(x) - valueOf(c, x));
      const last = runs.at(-1);
      if (!last || last.error * error < 0) runs.push({ x, error });
      else if (Math.abs(error) > Math.abs(last.error)) [last.x, last.error] = [x, error];
    }
    while (runs.length > points) {
      if (Math.abs(runs[0].error) < Math.abs(runs.at(-1)!.error)) runs.shift();
      else runs.pop();
    }
    if (runs.length < points) break;
    nodes = runs.map(({ x }) => x);
  }
  return c;
}

const SPLIT = 0.88;
const logComplement = (a: number): number =>
  a < 1e-4 ? (-2 / Math.sqrt(Math.PI) - 2 / Math.PI * a) / Math.LN2 : Math.log2(1 - erf(a)) / a;
const complementSlope = (a: number): number => Math.LN2 * a * (1 - erf(a));
const TARGETS: Record<string, Target> = {
  // (e^r - 1 - r) / r^2 for |r| <= log(2) / 2, with its effect on e^r.
  exp: {
    f: (r) => Math.abs(r) < 1e-3 ? 0.5 + r / 6 + r * r / 24 + r ** 3 / 120 : (Math.expm1(r) - r) / (r * r),
    w: (r) => r * r / Math.exp(r),
    from: -0.3466,
    to: 0.3466,
    degree: 4,
  },
  // (2^r - 1 - r log(2)) / r^2 for |r| <= 1/2, with its effect on 2^r.
  exp2: {
    f: (r) => TARGETS.exp.f(r * Math.LN2) * Math.LN2 ** 2,
    w: (r) => r * r / 2 ** r,
    from: -0.5,
    to: 0.5,
    degree: 4,
  },
  // erf(a) / a - 1 as a function of a^2, with its effect on erf(a).
  near: {
    f: (s) => s < 1e-6 ? 2 / Math.sqrt(Math.PI) * (1 - s / 3) - 1 : erf(Math.sqrt(s)) / Math.sqrt(s) - 1,
    w: (s) => s < 1e-6 ? Math.sqrt(Math.PI) / 2 : Math.sqrt(s) / erf(Math.sqrt(s)),
    from: 0,
    to: SPLIT ** 2,
    degree: 5,
  },
  // log2(1 - erf(a)) / a, with its effect on erf(a).
  far: { f: logComplement, w: complementSlope, from: SPLIT, to: 4, degree: 6 },
  // The same from 0 on, with its effect on 1 + erf(a).
  complement: { f: logComplement, w: complementSlope, from: 0, to: 4, degree: 7 },
};

for (const [name, target] of Object.entries(TARGETS)) {
  const c = minimax(target).map(Math.fround);
  const { f, w, from, to } = target;
  let worst = 0;
  for (let x = from; x <= to; x += (to - from) / 1e4) {
    worst = Math.max(worst, Math.abs(w(x) * (f(x) - valueOf(c, x))));
  }
  const shown = c.toReversed().map((x) => x.toPrecision(9)).join(", ");
  console.log(`${name} [${shown}] error ${(worst / 2 ** -24).toFixed(3)} half-ulps of 1`);
}
