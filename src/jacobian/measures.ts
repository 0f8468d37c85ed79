// Measures each head of a layer on one batch: norms and cosines of the parts of softmax's Jacobian, summed over rows,
// samples and bins of query positions. Also recomputes dq and dk from `full`, so that they can be compared with those of a
// device.
import { type AttentionAttrs, isNormalised, shareOf, sumsToOne } from "../../kernels/attention/sizes.ts";
import { forAttentionRows, jacobianRow, largestEigenvalue, sharesOf } from "./rows.ts";
import type { AttentionRow, AttentionValues } from "./rows.ts";

/**
 * Maximum number of bins of equal width into which the query positions are divided; there are fewer if there are fewer
 * positions.
 */
export const POSITION_BINS = 8;

/**
 * If |full| of a row is below this share of |a * g|, it counts as 0, because float32 cancellation has left only rounding
 * errors.
 */
const RESOLVED = 1e-6;

/** The variants of g: raw, g - a.g ("_c") and g - mean g ("_m"). */
const SIGNALS = ["", "_c", "_m"] as const;

type Share = (a: number) => number;

/** Measured quantities, keyed by name; null if there was nothing to average. */
export type Measures = Record<string, number | null>;

/** Measures of one head on one batch. */
export interface HeadMeasures {
  /** Number of rows that see a key and whose weights and gradients are finite. */
  readonly rows: number;
  /** Number of non-finite entries of a and g in rows that see a key; these rows are excluded from averages. */
  readonly nonfinite: number;
  /** Number of these rows in which |full| is 0 (in float32); ratios and cosines exclude them. */
  readonly rowsZero: number;
  /** Mean number of visible keys per row. */
  readonly visibleKeys: number;
  /** Quantities, keyed by name, in the order of a record's fields. */
  readonly measures: Measures;
  /** Quantities, keyed by name, with one value per bin of query positions. */
  readonly byPosition: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Inner products, summed over rows: `full` is full . full, `diagFull` is diag . full, and so on. */
interface Energies {
  full: number;
  diag: number;
  lateral: number;
  ste: number;
  diagLateral: number;
  diagFull: number;
  steFull: number;
}

const noEnergy = (): Energies => {
  return { full: 0, diag: 0, lateral: 0, ste: 0, diagLateral: 0, diagFull: 0, steFull: 0 };
};

function energiesOf(a: Float64Array, g: Float64Array, share?: Share): Energies {
  const sums = noEnergy();
  const { full, diag, lateral } = jacobianRow(a, g, share);
  for (let j = 0; j < a.length; j++) {
    sums.full += full[j] ** 2;
    sums.diag += diag[j] ** 2;
    sums.lateral += lateral[j] ** 2;
    sums.ste += g[j] ** 2;
    sums.diagLateral += diag[j] * lateral[j];
    sums.diagFull += diag[j] * full[j];
    sums.steFull += g[j] * full[j];
  }
  return sums;
}

function total(parts: readonly Energies[]): Energies {
  const sums = noEnergy();
  for (const part of parts) {
    for (const key of Object.keys(sums) as (keyof Energies)[]) sums[key] += part[key];
  }
  return sums;
}

const ratio = (x: number, y: number): number | null => y === 0 ? null : x / y;
const cosine = (xy: number, xx: number, yy: number) => ratio(xy, Math.sqrt(xx) * Math.sqrt(yy));

/** Computes r_diag, r_lateral and r_cross, which sum to 1, from the sums over some rows. */
function ratios({ full, diag, lateral, diagLateral }: Energies): (number | null)[] {
  return [ratio(diag, full), ratio(lateral, full), ratio(2 * diagLateral, full)];
}

/** Computes cos(diag, full) and cos(ste, full) from the sums over some rows. */
function cosines({ full, diag, ste, diagFull, steFull }: Energies): (number | null)[] {
  return [cosine(diagFull, diag, full), cosine(steFull, ste, full)];
}

/** Returns the mean of the values that are not null, or null if there are none. */
function meanOf(values: readonly (number | null)[]): number | null {
  const present = values.filter((x) => x !== null);
  return ratio(present.reduce((sum, x) => sum + x, 0), present.length);
}

/** Creates a running mean that ignores null. */
function average() {
  let [sum, count] = [0, 0];
  return {
    add(x: number | null) {
      if (x === null) return;
      sum += x;
      count++;
    },
    mean: () => ratio(sum, count),
  };
}

/** Returns the entropy of a / sum(a) in nats, and `mass`, which is sum(a). */
function entropyOf(a: Float64Array): { entropy: number | null; mass: number } {
  const mass = a.reduce((sum, x) => sum + x, 0);
  if (mass === 0) return { entropy: null, mass };
  return { entropy: -a.reduce((sum, x) => x === 0 ? sum : sum + x / mass * Math.log(x / mass), 0), mass };
}

/** Returns the trace, the Frobenius norm and the largest eigenvalue of a row's Jacobian. */
function spectrum(
  { a, dphi }: AttentionRow,
  normalised: boolean,
  share?: Share,
): { trace: number; frobenius: number; largest: number } {
  let [trace, squares, cubes] = [0, 0, 0];
  if (!normalised) {
    for (const x of dphi) [trace, squares] = [trace + x, squares + x * x];
    return { trace, frobenius: Math.sqrt(squares), largest: dphi.reduce((top, x) => Math.max(top, x), 0) };
  }
  const { w, W } = sharesOf(a, share);
  for (const x of Array.from(w)) {
    [trace, squares, cubes] = [trace + x * (1 - x / W), squares + x * x, cubes + x ** 3];
  }
  const frobenius = Math.sqrt(Math.max(0, squares - 2 * cubes / W + (squares / W) ** 2));
  return { trace, frobenius, largest: largestEigenvalue(a, share) };
}

/**
 * Returns the three signals of a row: g, g - w.g / W (for softmax g - a.g) and g - mean g. If the activation's rows do not
 * sum to 1, returns only g: a constant added to g changes full, so that results of centred signals cannot be compared with
 * full.
 */
function signalsOf({ a, g }: AttentionRow, attrs: AttentionAttrs): Float64Array[] {
  if (!sumsToOne(attrs)) return [g];
  const { w, W } = sharesOf(a, shareOf(attrs));
  const weighted = g.reduce((sum, x, j) => sum + w[j] * x, 0) / W;
  const mean = g.reduce((sum, x) => sum + x, 0) / g.length;
  return [g, g.map((x) => x - weighted), g.map((x) => x - mean)];
}

const nonFiniteCount = (x: Float64Array): number =>
  x.reduce((sum, value) => sum + Number(!Number.isFinite(value)), 0);

/** Accumulates the means over rows of the quantities that do not depend on g. */
function patternMeans(attrs: AttentionAttrs) {
  const normalised = isNormalised(attrs);
  const [visible, entropies, entropyRatio, rowmass] = [average(), average(), average(), average()];
  const [traces, norms, eigenvalues] = [average(), average(), average()];
  return {
    add(row: AttentionRow): void {
      const { entropy, mass } = entropyOf(row.a);
      const { trace, frobenius, largest } = spectrum(row, normalised, shareOf(attrs));
      const n = row.keys.length;
      visible.add(n);
      entropies.add(entropy);
      if (n > 1 && entropy !== null) entropyRatio.add(entropy / Math.log(n));
      rowmass.add(mass);
      traces.add(trace);
      norms.add(frobenius);
      eigenvalues.add(largest);
    },
    visibleKeys: () => visible.mean() ?? NaN,
    pattern: (): Measures => ({
      entropy: entropies.mean(),
      entropy_ratio: entropyRatio.mean(),
      ...(sumsToOne(attrs) ? {} : { rowmass: rowmass.mean() }),
    }),
    spectrum: (): Measures => {
      return { trace: traces.mean(), frobenius: norms.mean(), lambda_max: eigenvalues.mean() };
    },
  };
}

/** Accumulates the sums of one head, row by row. */
function headSums(samples: number, bins: number, attrs: AttentionAttrs) {
  const [normalised, share] = [isNormalised(attrs), shareOf(attrs)];
  const means = patternMeans(attrs);
  const signals = sumsToOne(attrs) ? SIGNALS : SIGNALS.slice(0, 1);
  const table = signals.map(() => Array.from({ length: samples * bins }, noEnergy));
  const rowCosines = signals.map(() => [average(), average()]);
  let [rows, rowsZero, nonfinite] = [0, 0, 0];
  return {
    add(row: AttentionRow, bin: number): void {
      if (row.keys.length === 0) return;
      const odd = nonFiniteCount(row.a) + nonFiniteCount(row.g);
      if (odd > 0 || row.scores.some(Number.isNaN)) {
        nonfinite += odd;
        return;
      }
      rows++;
      means.add(row);
      if (!normalised) {
        if (row.dphi.every((x, j) => x * row.g[j] === 0)) rowsZero++;
        return;
      }
      const energies = signalsOf(row, attrs).map((g) => energiesOf(row.a, g, share));
      const { w } = sharesOf(row.a, share);
      if (energies[0].full <= RESOLVED ** 2 * row.g.reduce((sum, x, j) => sum + (w[j] * x) ** 2, 0)) {
        rowsZero++;
        return;
      }
      energies.forEach((one, s) => {
        const at = row.batch * bins + bin;
        table[s][at] = total([table[s][at], one]);
        cosines(one).forEach((value, c) => rowCosines[s][c].add(value));
      });
    },
    measured: (): HeadMeasures => {
      const byRow = rowCosines.map((pair) => pair.map(({ mean }) => mean()));
      const parts = normalised ? partsOf(table, byRow, bins) : undefined;
      return {
        rows,
        rowsZero,
        nonfinite,
        visibleKeys: means.visibleKeys(),
        measures: { ...means.pattern(), ...parts?.measures, ...means.spectrum() },
        byPosition: parts?.byPosition ?? {},
      };
    },
  };
}

/** Computes ratios and cosines from the sums per sample and bin, and from the mean cosines of rows. */
function partsOf(table: readonly Energies[][], rowCosines: readonly (number | null)[][], bins: number) {
  const measures: Measures = {};
  const byPosition: Record<string, (number | null)[]> = {};
  table.forEach((sums, s) => {
    const signal = SIGNALS[s];
    const samples = Array.from(
      { length: sums.length / bins },
      (_, b) => sums.slice(b * bins, (b + 1) * bins),
    );
    const [r_diag, r_lateral, r_cross] = ratios(total(sums));
    const bySample = samples.map((parts) => cosines(total(parts)));
    const named = {
      r_diag,
      r_lateral,
      r_cross,
      cos_diag: meanOf(bySample.map(([cos]) => cos)),
      cos_ste: meanOf(bySample.map(([, cos]) => cos)),
      cos_diag_row: rowCosines[s][0],
      cos_ste_row: rowCosines[s][1],
    };
    for (const [name, value] of Object.entries(named)) measures[name + signal] = value;
    const inBin = Array.from({ length: bins }, (_, bin) => samples.map((parts) => parts[bin]));
    const places = {
      r_diag: inBin.map((parts) => ratios(total(parts))[0]),
      r_lateral: inBin.map((parts) => ratios(total(parts))[1]),
      cos_diag: inBin.map((parts) => meanOf(parts.map((part) => cosines(part)[0]))),
      cos_ste: inBin.map((parts) => meanOf(parts.map((part) => cosines(part)[1]))),
    };
    for (const [name, values] of Object.entries(places)) byPosition[`${name}${signal}_by_position`] = values;
  });
  return { measures, byPosition };
}

/**
 * Measures every head of a layer on one batch, row by row, and computes the gradients of its queries [B, T, H, d] and
 * keys [B, S, Hkv, d] from `full`.
 *
 * @param counts returns whether a sample is included; samples that only pad the batch are excluded
 */
export function measureLayer(values: AttentionValues, counts: (b: number) => boolean) {
  const { sizes: { B, T, H, HKV, D }, attrs, q, k } = values;
  const [normalised, share] = [isNormalised(attrs), shareOf(attrs)];
  const bins = Math.min(POSITION_BINS, T);
  const sums = Array.from({ length: H }, () => headSums(B, bins, attrs));
  const [dq, dk] = [new Float64Array(q.length), new Float64Array(k.length)];
  forAttentionRows(values, counts, (row) => {
    const { head, i, keys, a, g, slope, dphi } = row;
    sums[head].add(row, Math.floor(i * bins / T));
    const ds = normalised ? jacobianRow(a, g, share).full : g.map((x, n) => dphi[n] * x);
    keys.forEach((j, n) => {
      const key = row.k + j * HKV * D;
      const x = attrs.scale * slope[n] * ds[n];
      for (let e = 0; e < D; e++) {
        dq[row.q + e] += x * k[key + e];
        dk[key + e] += x * q[row.q + e];
      }
    });
  });
  return { heads: sums.map((head) => head.measured()), dq, dk };
}

/** Returns the largest absolute difference divided by the largest absolute expected value, or 0 if nothing differs. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, largest] = [0, 0];
  for (let n = 0; n < expected.length; n++) {
    difference = Math.max(difference, Math.abs(actual[n] - expected[n]));
    largest = Math.max(largest, Math.abs(expected[n]));
  }
  return difference === 0 ? 0 : difference / largest;
}
