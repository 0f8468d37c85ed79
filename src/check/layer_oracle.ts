// Reference implementations of a multi-head layer and a decoder layer in float64, on dense matrices of plain numbers. Each step
// can be replaced by a common mistake, so that the mistake in a wrong layer can be recognised by its results.

/** Rows of numbers.
 * @category Attention */
export type Matrix = number[][];

/** Weights, keyed by name: matrices [out][in], such as W in y = W x, and vectors. */
export type LayerWeights = Readonly<Record<string, Matrix | number[]>>;

/** Options of a layer.
 * @category Attention */
export interface LayerOptions {
  /** Number of heads; each has dim / heads columns of q, k and v. */
  readonly heads: number;
  /** [T][T]; true if position i attends to position j. */
  readonly mask: boolean[][];
}

/** Wrong steps that replace the right ones; {} replaces none. */
export interface LayerChange {
  /** Returns a wrong scale of the scores, from the width d of a head and the width dim of all heads. */
  readonly scale?: (d: number, dim: number) => number;
  /** The mask is not applied, is inverted, or sets weights to 0 after the softmax. */
  readonly mask?: "ignored" | "turned" | "after";
  /** The scores are used as weights, without softmax; or softmax runs over the queries of each key. */
  readonly softmax?: "left out" | "over queries";
  /** A fully masked row gives the mean of all values, is 0/0, or sees all keys. */
  readonly empty?: "mean" | "NaN" | "all";
  /** Head h of H takes columns h, h + H, ...; the heads come from a reshape to [H, T, d]; or all heads are merged into one. */
  readonly heads?: "interleaved" | "reshaped" | "one";
  /** Queries and keys are swapped. */
  readonly exchanged?: true;
  /** x W is computed instead of x W^T, for every square W. */
  readonly transposed?: true;
  /** The biases of wq, wk, wv and wo are left out. */
  readonly biases?: "left out";
  /** The output projection wo is left out. */
  readonly output?: "left out";
  /**
   * The residual stream is normalised after each sum (post-norm); a norm is missing; or the variance has the divisor D - 1,
   * not D.
   */
  readonly norms?: "post" | "no ln1" | "no ln2" | "sample variance";
  /** The output of a branch is not added to the input of the branch. */
  readonly residual?: "no attention" | "no mlp";
  /** The MLP has no activation; or it reads the layer's input, not the stream after the attention. */
  readonly mlp?: "no activation" | "of x";
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, e) => sum + x * b[e], 0);
const columnsOf = (x: Matrix): Matrix => x[0].map((_, e) => x.map((row) => row[e]));
const sum = (a: Matrix, b: Matrix): Matrix => a.map((row, i) => row.map((x, e) => x + b[i][e]));

/** Returns the softmax of a row's scores over its visible keys, or zeros if no key is visible. */
function softmax(
  scores: readonly number[],
  sees: readonly boolean[],
  empty?: LayerChange["empty"],
): number[] {
  if (empty !== undefined && !sees.includes(true)) {
    if (empty === "all") return softmax(scores, sees.map(() => true));
    return scores.map(() => empty === "mean" ? 1 / scores.length : NaN);
  }
  const top = scores.reduce((most, s, j) => sees[j] ? Math.max(most, s) : most, -Infinity);
  const powers = scores.map((s, j) => sees[j] ? Math.exp(s - top) : 0);
  const total = powers.reduce((a, b) => a + b, 0);
  return total > 0 ? powers.map((power) => power / total) : powers;
}

/**
 * Computes attention of one head: z_i = sum_j a_ij v_j, where a_i is the softmax of the scores scale * (q_i . k_j) over the
 * keys j that are visible to query i.
 *
 * @param q [T][d]
 * @param k [S][d]
 * @param v [S][dv]
 * @param options `mask` [T][S] and the scale of the scores
 * @param change wrong steps that replace the right ones
 * @returns [T][dv]
 */
export function headOracle(
  q: Matrix,
  k: Matrix,
  v: Matrix,
  { mask, scale }: { readonly mask: readonly boolean[][]; readonly scale: number },
  change: LayerChange = {},
): Matrix {
  const factor = change.scale?.(q[0].length, q[0].length) ?? scale;
  const [from, to] = change.exchanged && q.length === k.length ? [k, q] : [q, k];
  const scores = from.map((row) => to.map((key) => factor * dot(row, key)));
  const all = mask.map((row) => row.map(() => true));
  const seen = change.mask === "ignored" || change.mask === "after"
    ? all
    : change.mask === "turned"
    ? mask.map((row) => row.map((sees) => !sees))
    : mask;
  const weights = change.softmax === "left out"
    ? scores.map((row, i) => row.map((s, j) => seen[i][j] ? s : 0))
    : change.softmax === "over queries"
    ? columnsOf(columnsOf(scores).map((column, j) => softmax(column, seen.map((row) => row[j]))))
    : scores.map((row, i) => softmax(row, seen[i], change.empty));
  const kept = change.mask === "after"
    ? weights.map((row, i) => row.map((a, j) => mask[i][j] ? a : 0))
    : weights;
  const columns = columnsOf(v);
  return kept.map((row) => columns.map((column) => dot(row, column)));
}

/** Computes y = x W^T + b, where W is the weight `<name>.weight` and b is `<name>.bias`. */
function linear(x: Matrix, weights: LayerWeights, name: string, change: LayerChange = {}): Matrix {
  const matrix = weights[`${name}.weight`] as Matrix;
  const bias = change.biases ? undefined : weights[`${name}.bias`] as number[] | undefined;
  const square = matrix.length === matrix[0].length;
  const rows = change.transposed && square ? columnsOf(matrix) : matrix;
  return x.map((row) => rows.map((weightRow, e) => dot(row, weightRow) + (bias?.[e] ?? 0)));
}

/** Splits [T][D] into heads [H][T][d]. */
function headsOf(x: Matrix, heads: number, how: LayerChange["heads"]): Matrix[] {
  const [T, D] = [x.length, x[0].length];
  const d = D / heads;
  const flat = x.flat();
  return Array.from(
    { length: heads },
    (_, h) =>
      Array.from(
        { length: T },
        (_, t) =>
          Array.from({ length: d }, (_, e) =>
            how === "interleaved"
              ? x[t][e * heads + h]
              : how === "reshaped"
              ? flat[(h * T + t) * d + e]
              : x[t][h * d + e]),
      ),
  );
}

/** Joins heads [H][T][d] into [T][D]; this is the inverse of `headsOf`. */
function joined(z: readonly Matrix[], how: LayerChange["heads"]): Matrix {
  const [H, T, d] = [z.length, z[0].length, z[0][0].length];
  const flat = z.flat(2);
  return Array.from(
    { length: T },
    (_, t) =>
      Array.from(
        { length: H * d },
        (_, n) =>
          how === "interleaved"
            ? z[n % H][t][Math.floor(n / H)]
            : how === "reshaped"
            ? flat[t * H * d + n]
            : z[Math.floor(n / d)][t][n % d],
      ),
  );
}

/**
 * Computes a multi-head layer: y = Wo concat_h attention(q_h, k_h, v_h) + bo, where q = Wq x + bq. Each of the H heads has
 * the width d = D / H, and q_h consists of the columns h d to (h + 1) d - 1 of q. k and v are computed and split in the
 * same way. The scores are divided by sqrt(d).
 *
 * @param x [T][D]
 * @param weights `wq.weight` [D][D], `wq.bias` [D], and the same for `wk`, `wv` and `wo`
 * @returns [T][D]
 *
 * @example
 * ```ts
 * import { multiHeadOracle } from "./mod.ts";
 * const names = ["wq", "wk", "wv", "wo"].flatMap((name) => [[`${name}.weight`, [[1, 0], [0, 1]]], [`${name}.bias`, [0, 0]]]);
 * multiHeadOracle([[1, 2]], Object.fromEntries(names), { heads: 2, mask: [[true]] }); // [[1, 2]]
 * ```
 */
export function multiHeadOracle(
  x: Matrix,
  weights: LayerWeights,
  { heads, mask }: LayerOptions,
  change: LayerChange = {},
): Matrix {
  const H = change.heads === "one" ? 1 : heads;
  const [q, k, v] = ["wq", "wk", "wv"].map((name) =>
    headsOf(linear(x, weights, name, change), H, change.heads)
  );
  const dim = x[0].length;
  const scale = change.scale?.(dim / H, dim) ?? 1 / Math.sqrt(dim / H);
  const headChange = { ...change, scale: undefined };
  const z = joined(q.map((_, h) => headOracle(q[h], k[h], v[h], { mask, scale }, headChange)), change.heads);
  return change.output ? z : linear(z, weights, "wo", change);
}

/** The number that LayerNorm adds to the variance. */
export const LAYER_NORM_EPS = 1e-5;

function layerNorm(x: Matrix, weights: LayerWeights, name: string, change: LayerChange): Matrix {
  const [weight, bias] = ["weight", "bias"].map((part) => weights[`${name}.${part}`] as number[]);
  return x.map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const count = change.norms === "sample variance" ? row.length - 1 : row.length;
    const variance = row.reduce((total, value) => total + (value - mean) ** 2, 0) / count;
    return row.map((value, e) => (value - mean) / Math.sqrt(variance + LAYER_NORM_EPS) * weight[e] + bias[e]);
  });
}

/** Returns the weights whose names begin with a prefix, keyed by their names without the prefix. */
const below = (weights: LayerWeights, prefix: string): LayerWeights =>
  Object.fromEntries(
    Object.entries(weights).filter(([name]) => name.startsWith(prefix)).map((
      [name, w],
    ) => [name.slice(prefix.length), w]),
  );

/**
 * Computes a pre-norm decoder layer: h = x + multiHead(LN1(x)), y = h + Wproj relu(Wfc LN2(h) + bfc) + bproj. LN(x) is
 * (x - mean) / sqrt(var + 1e-5) weight + bias, where var is the mean of (x - mean)^2 over the D entries.
 *
 * @param x [T][D]
 * @param weights `ln1.weight` and `ln1.bias` [D], `ln2.weight` and `ln2.bias` [D], the weights of a multi-head layer with
 * the prefix `attn.`, `mlp.fc.weight` [F][D], `mlp.fc.bias` [F], `mlp.proj.weight` [D][F], `mlp.proj.bias` [D]
 * @returns [T][D]
 */
export function decoderLayerOracle(
  x: Matrix,
  weights: LayerWeights,
  options: LayerOptions,
  change: LayerChange = {},
): Matrix {
  const { norms, residual } = change;
  const norm = (name: "ln1" | "ln2", y: Matrix) =>
    norms === `no ${name}` ? y : layerNorm(y, weights, name, change);
  const attention = (y: Matrix) => multiHeadOracle(y, below(weights, "attn."), options, change);
  const mlp = (y: Matrix) => {
    const inner = linear(y, weights, "mlp.fc");
    const outer = change.mlp === "no activation"
      ? inner
      : inner.map((row) => row.map((value) => Math.max(0, value)));
    return linear(outer, weights, "mlp.proj");
  };
  const add = (y: Matrix, branch: Matrix, left: boolean) => left ? branch : sum(y, branch);
  if (norms === "post") {
    const middle = norm("ln1", add(x, attention(x), residual === "no attention"));
    return norm("ln2", add(middle, mlp(middle), residual === "no mlp"));
  }
  const middle = add(x, attention(norm("ln1", x)), residual === "no attention");
  return add(middle, mlp(norm("ln2", change.mlp === "of x" ? x : middle)), residual === "no mlp");
}
