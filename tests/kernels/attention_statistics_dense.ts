// The statistics of attention by their definitions, in float64, from stored matrices.
import type { AttentionOptions } from "../../kernels/attention/op.ts";
import type { RandomStream } from "../../src/base/random.ts";
import { attentionOracle, attentionOracleGradient, type OracleOptions } from "../../src/check/oracle.ts";
import type { Values } from "../../src/graph/tensor.ts";

export interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly HKV: number;
  readonly d: number;
}

/** A kind of attention for heed and for the oracle. `mask` is the oracle's mask, besides the range. */
export interface Kind {
  readonly options: AttentionOptions;
  readonly score?: OracleOptions["score"];
  readonly mask?: NonNullable<OracleOptions["mask"]>;
}

export interface Setting extends Sizes {
  readonly rng: RandomStream;
  readonly feeds: Record<string, Values>;
}

/** Offset of the queries' positions from their rows. */
const ahead = ({ T, S }: Sizes, { causal, extra = 0 }: AttentionOptions): number =>
  causal === "bottom-right" ? S - extra - T : 0;

/** The range of causal, alignment and window, for the oracle. */
function range({ causal = "top-left", window }: AttentionOptions) {
  return (i: number, j: number): boolean => {
    const back = i - j;
    if (causal && back < 0) return false;
    return !window || (back < window.size && (!window.symmetric || -back < window.size));
  };
}

export const mean = (x: readonly number[]): number =>
  x.length === 0 ? NaN : x.reduce((a, b) => a + b) / x.length;
const deviation = (x: readonly number[]): number => {
  const middle = mean(x);
  return Math.sqrt(mean(x.map((value) => (value - middle) ** 2)));
};
const xlogx = (x: number): number => x === 0 ? 0 : x * Math.log(x);

/** A row of the matrix over its visible keys, the query at position p. */
interface DenseRow {
  readonly b: number;
  readonly p: number;
  readonly keys: readonly number[];
  readonly a: readonly number[];
  readonly scores: readonly number[];
}

const oddsIn = (x: readonly number[]): number => x.filter((value) => !Number.isFinite(value)).length;

/** Every statistic of one head's rows, by the definitions; keys from `firstLearned` on are learned. */
function statisticsOf(
  all: readonly DenseRow[],
  bernoulli: boolean,
  repeated: number,
  firstLearned: number,
): number[] {
  // A row with a NaN score, or with non-finite weights, is excluded from all averages.
  const lit = all.filter(({ keys, a, scores }) =>
    keys.length > 0 && oddsIn(a) === 0 && !scores.some(Number.isNaN)
  );
  const later = lit.filter(({ p }) => p >= 1);
  const again = lit.filter(({ p }) => p >= repeated);
  type Row = typeof lit[number];
  const mass = ({ a }: Row) => a.reduce((x, y) => x + y);
  const entropy = (row: Row) => {
    const total = mass(row);
    return total > 0 ? -row.a.reduce((sum, x) => sum + xlogx(x / total), 0) : 0;
  };
  /** The row without its learned keys, which have no position. */
  const textOf = (row: Row): Row => ({
    ...row,
    keys: row.keys.filter((j) => j < firstLearned),
    a: row.a.filter((_, n) => row.keys[n] < firstLearned),
  });
  const text = lit.map(textOf);
  const placed = text.filter(({ keys }) => keys.length > 0);
  const distance = (row: Row) => {
    const total = mass(row);
    return total > 0 ? row.a.reduce((sum, x, n) => sum + x * (row.p - row.keys[n]), 0) / total : 0;
  };
  const to = (key: (p: number) => number) => (row: Row) => {
    const { p, keys, a } = textOf(row);
    return a[keys.indexOf(key(p))] ?? 0;
  };
  const extraMass = (row: Row) => {
    const learned = row.a.filter((_, n) => row.keys[n] >= firstLearned).reduce((x, y) => x + y, 0);
    return mass(row) > 0 ? learned / mass(row) : 0;
  };
  const norm = (rows: readonly DenseRow[]) => Math.hypot(...rows.flatMap(({ a }) => a));
  const samples = [...Map.groupBy(lit, ({ b }) => b).values()];
  const scores = lit.flatMap((row) => row.scores).filter(Number.isFinite);
  return [
    mean(lit.map(entropy)),
    mean(lit.filter(({ keys }) => keys.length > 1).map((row) => entropy(row) / Math.log(row.keys.length))),
    bernoulli ? mean(lit.map(({ a }) => mean(a.map((x) => -xlogx(x) - xlogx(1 - x))))) : NaN,
    mean(lit.map(mass)),
    deviation(lit.map(mass)),
    mean(lit.map(({ a }) => Math.max(...a))),
    mean(placed.map(({ p, keys, a }) => p - keys[a.indexOf(Math.max(...a))])),
    mean(later.filter(({ keys }) => keys.includes(0)).map(to(() => 0))),
    mean(later.map(to((p) => p - 1))),
    mean(lit.map(to((p) => p))),
    mean(placed.map(distance)),
    mean(lit.map((row) => Math.exp(entropy(row)))),
    mean(lit.map(({ a }) => mean(a.map((x) => Number(x < 0.01 / a.length))))),
    scores.length === 0 ? NaN : scores.reduce((x, y) => Math.max(x, y)),
    mean(scores),
    deviation(scores),
    all.reduce((sum, { a }) => sum + oddsIn(a), 0),
    all.reduce((sum, row) => sum + oddsIn(row.scores), 0),
    mean(lit.map(extraMass)),
    lit.length === 0 ? NaN : norm(lit),
    mean(samples.map(norm)),
    mean(again.map(to((p) => p - repeated + 1))),
    mean(again.map(to((p) => p - repeated))),
  ];
}

/** The oracle's arguments for a case: arrays and functions of (b, h, i, j). */
function oracleOf(s: Setting, { options, score, mask }: Kind) {
  const { B, T, S, H, HKV, d, feeds } = s;
  const { activation, divide, kvHead, backward, bias = "auto" } = options;
  const shift = activation !== "sigmoid" ? 0 : bias === "auto" ? -Math.log(S) : bias;
  const within = range(options);
  const [firstLearned, first] = [S - (options.extra ?? 0), ahead(s, options)];
  const tensor = (name: string, shape: number[]) => ({ shape, data: feeds[name] });
  return {
    q: tensor("q", [B, T, H, d]),
    k: tensor("k", [B, S, HKV, d]),
    v: tensor("v", [B, S, HKV, 3]),
    oracle: {
      scale: options.scale ?? 1 / Math.sqrt(d),
      score: (x: number, ...at: Point) => (score ? score(x, ...at) : x) + shift,
      slope: () => 1,
      mask: (...[b, h, i, j]: Point) => {
        // The lookups of this file are by rows.
        return j >= firstLearned || (within(i, j) && (mask?.(b, h, i - first, j) ?? true));
      },
      activation,
      divide,
      kvHead,
      backward,
    },
  };
}

/** The oracle's options over rows: functions of positions get row + `first`. */
function byRows(oracle: ReturnType<typeof oracleOf>["oracle"], first: number): OracleOptions {
  return {
    ...oracle,
    score: (x, b, h, i, j) => oracle.score(x, b, h, i + first, j),
    mask: (b, h, i, j) => oracle.mask(b, h, i + first, j),
  };
}

type Point = [b: number, h: number, i: number, j: number];

const dot = (a: Values, i: number, b: Values, j: number, size: number): number => {
  let sum = 0;
  for (let e = 0; e < size; e++) sum += a[i * size + e] * b[j * size + e];
  return sum;
};

/** Calls `visit` for every row of a head with its visible keys and its offsets in q, z, k and v. */
function visitRows(
  s: Setting,
  kind: Kind,
  h: number,
  visit: (b: number, i: number, keys: number[], row: number, keyRow: (j: number) => number) => void,
): void {
  const { B, T, S, H, HKV } = s;
  const { oracle } = oracleOf(s, kind);
  const first = ahead(s, kind.options);
  const kv = kind.options.kvHead === "modulo" ? h % HKV : Math.floor(h * HKV / H);
  for (let b = 0; b < B; b++) {
    for (let i = 0; i < T; i++) {
      const keys = Array.from({ length: S }, (_, j) => j).filter((j) => oracle.mask(b, h, i + first, j));
      visit(b, i, keys, (b * T + i) * H + h, (j) => (b * S + j) * HKV + kv);
    }
  }
}

/** The statistics by the dense oracle: a stored pattern, its rows reduced to the visible keys. */
export function dense(s: Setting, kind: Kind, repeated: number): number[] {
  const { T, S, H, d } = s;
  const { q, k, v, oracle } = oracleOf(s, kind);
  const first = ahead(s, kind.options);
  const { pattern } = attentionOracle(q, k, v, byRows(oracle, first));
  return Array.from({ length: H }, (_, h) => {
    const rows: DenseRow[] = [];
    visitRows(s, kind, h, (b, i, keys, row, keyRow) => {
      const score = (j: number) => {
        return oracle.score(oracle.scale * dot(q.data, row, k.data, keyRow(j), d), b, h, i + first, j);
      };
      // A score of -Infinity hides its pair.
      const seen = keys.filter((j) => score(j) !== -Infinity);
      rows.push({
        b,
        p: i + first,
        keys: seen,
        a: seen.map((j) => pattern[((b * H + h) * T + i) * S + j]),
        scores: seen.map(score),
      });
    });
    const bernoulli = oracle.activation === "sigmoid" && (oracle.divide ?? "none") === "none";
    return statisticsOf(rows, bernoulli, repeated, S - (kind.options.extra ?? 0));
  }).flat();
}

/** The statistics of the gradients, from both stored matrices. */
export function denseGradients(s: Setting, kind: Kind): number[] {
  const { B, T, S, H, d } = s;
  const { q, k, v, oracle } = oracleOf(s, kind);
  const first = ahead(s, kind.options);
  const dz = { shape: [B, T, H, 3], data: s.feeds.dz };
  const { ds } = attentionOracleGradient(q, k, v, dz, byRows(oracle, first));
  return Array.from({ length: H }, (_, h) => {
    const [pattern, scores]: number[][] = [[], []];
    visitRows(s, kind, h, (b, i, keys, row, keyRow) => {
      for (const j of keys) {
        const raw = oracle.scale * dot(q.data, row, k.data, keyRow(j), d);
        if (oracle.score(raw, b, h, i + first, j) === -Infinity) continue;
        pattern.push(dot(dz.data, row, v.data, keyRow(j), 3));
        scores.push(ds[((b * H + h) * T + i) * S + j]);
      }
    });
    return [
      ...[pattern, scores].map((x) => x.filter(Number.isFinite)).flatMap((x) => {
        const some = x.length > 0;
        return [
          mean(x),
          deviation(x),
          some ? Math.max(...x.map(Math.abs)) : NaN,
          some ? Math.hypot(...x) : NaN,
        ];
      }),
      oddsIn(pattern),
      oddsIn(scores),
    ];
  }).flat();
}
