// Statistics of the attention matrix in WebAssembly. A block processes a tile of query rows of one head: in its thread's own
// memory it computes the scores, then the weights of each row, and sums over the row. It writes one record of sums to the
// scratch buffer. A pair that is not visible has the score -Infinity and the weight 0.
import { double, element, f32, f32x4, f64, float, type Func, i32, i32x4, load } from "../../src/wasm/mod.ts";
import { type F32, type F64, type I32, int, loadSplat, type Local, select } from "../../src/wasm/mod.ts";
import { type V128, v128 } from "../../src/wasm/mod.ts";
import type { Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { ACTIVATIONS } from "../attention/activations.ts";
import { upTo } from "../attention/simd/tiles.ts";
import { isKnown, TINY, weightsOf } from "../attention/simd/weights.ts";
import { attentionSizes, hasRowTerm, isBernoulli, isNormalised, queryOffset } from "../attention/sizes.ts";
import type { AttentionSizes } from "../attention/sizes.ts";
import { exp, log } from "../expression/vector_functions.ts";
import {
  arrayBytes,
  forKeys,
  forRows,
  keysFrom,
  pairElements,
  type QueryRow,
  scoresOf,
  type Tile,
} from "./pairs.ts";
import { largestOf, type RecordOfSums, simdOfTiles, type Sums, vectorCount, vectorSum } from "./sums.ts";
import { ATTENTION_TABLE, columnNames, type StatisticsAttrs, wasmColumns } from "./table.ts";

/** The sums of a record. The merge phase sets the last two, the number of samples and the sum of the samples' norms. */
const RECORD: RecordOfSums = {
  names: [
    "rows rows_of_two rows_placed rows_with_previous rows_sunk rows_repeated pairs nonfinite score_nonfinite",
    "scores score_squares score_max entropy entropy_ratio bernoulli_entropy effective_keys sparsity",
    "rowmass rowmass_squares squares max argmax_distance distance sink previous self extra_mass",
    "induction duplicate samples pnorm",
  ].flatMap((names) => names.split(" ")),
  largest: ["score_max"],
};

const LOWEST = -3.4028234663852886e38;

/** The call of which a block computes a part, and the block's sums and sizes. */
interface Block {
  readonly sizes: AttentionSizes;
  readonly attrs: StatisticsAttrs;
  readonly sums: Sums;
  /** Distance in bytes from a score to the corresponding weight. */
  readonly weights: number;
  /** Number of rows of the block, rounded up to a multiple of 4. */
  readonly rows: number;
}

/**
 * Returns statistics of the scores of a row: the number of visible keys, the number of finite scores, and sums and maxima over
 * the scores.
 */
function sumsOfScores(f: Func, row: QueryRow, { sizes, attrs }: Block) {
  const [seen, finite] = [vectorCount(f), vectorCount(f)];
  const [highest, placed] = [f.let(f32x4.splat(-Infinity)), f.let(f32x4.splat(-Infinity))];
  const moments = vectorSum(f, { squares: true });
  forKeys(f, row, (at, j) => {
    const [s] = row.kept(at, j);
    f.store(at, s);
    seen.add(f32x4.ne(s, -Infinity));
    const isFinite = f.let(f32x4.lt(f32x4.abs(s), Infinity));
    finite.add(isFinite);
    moments.add(f.let(v128.and(s, isFinite)));
    f.set(highest, f32x4.pmax(highest, v128.select(isFinite, s, -Infinity)));
    // Learned keys have no position.
    const isPlaced = attrs.extra > 0 ? i32x4.ltS(keysFrom(j), sizes.S - attrs.extra) : undefined;
    f.set(placed, f32x4.pmax(placed, isPlaced ? v128.select(isPlaced, s, -Infinity) : s));
  });
  return {
    n: f.let(seen.count),
    finite: f.let(finite.count),
    moments,
    /** The largest finite score. */
    highest: largestOf(highest),
    /** The largest score of a key that has a position. */
    placed: f.let(largestOf(placed)),
  };
}

/**
 * Returns -a ln a - (1 - a) ln(1 - a), where a is the sigmoid of the score s. ln(1 - a) is computed as ln a - s or, for small a,
 * for which this difference would be inaccurate, from a series.
 */
function bernoulliEntropy(a: V128, logA: V128, s: V128): V128 {
  const series = [0.25, 1 / 3, 0.5, 1].reduce<V128>((sum, c) => f32x4.madd(a, sum, c), f32x4.splat(0));
  // From s = 17 on, 1 - a is 0. The logarithm must be finite, because 0 times infinity would be NaN.
  const logOther = v128.select(
    f32x4.lt(a, 0.03),
    f32x4.mul(f32x4.neg(a), series),
    f32x4.sub(logA, f32x4.pmin(s, 100)),
  );
  return f32x4.nmadd(a, logA, f32x4.mul(f32x4.sub(a, 1), logOther));
}

/** Writes the code that computes and stores the weights of a row with n visible keys, and returns sums over these weights. */
function sumsOfWeights(
  f: Func,
  row: QueryRow,
  { sizes, attrs, weights }: Block,
  n: I32,
  term: Local<"v128">,
) {
  const mass = vectorSum(f, { squares: true });
  const [logs, distance, learned, bernoulli] = [0, 1, 2, 3].map(() => vectorSum(f));
  const [small, infinite] = [vectorCount(f), vectorCount(f)];
  const highest = f.let(f32x4.splat(-Infinity));
  const sequence = sizes.S - attrs.extra;
  const place = f.let(f32x4.splat(f32.fromS(i32.add(row.i, queryOffset(sizes, attrs)))));
  const threshold = f.let(f32x4.splat(f32.div(0.01, f32.fromU(n))));
  forKeys(f, row, (at, j) => {
    const s = f.let(load("v128", at));
    const isSeen = f.let(f32x4.ne(s, -Infinity));
    const weight = weightsOf(f, attrs, s, term);
    const a = f.let(v128.and(weight.a, isSeen));
    f.store(at, a, weights);
    mass.add(a);
    const logA = isBernoulli(attrs) ? f.let(weight.logA) : weight.logA;
    logs.add(f.let(v128.and(f32x4.mul(a, logA), f32x4.gt(a, 0))));
    const weighted = f.let(f32x4.mul(a, f32x4.sub(place, f32x4.fromS(keysFrom(j)))));
    if (attrs.extra > 0) {
      const isLearned = f.let(i32x4.geS(keysFrom(j), sequence));
      learned.add(f.let(v128.and(a, isLearned)));
      f.set(weighted, v128.andnot(weighted, isLearned));
    }
    distance.add(weighted);
    small.add(v128.and(f32x4.lt(a, threshold), isSeen));
    // Rows of normalised weights are processed here only if all their scores are finite.
    if (!isNormalised(attrs)) infinite.add(v128.not(f32x4.lt(f32x4.abs(a), Infinity)));
    f.set(highest, f32x4.pmax(highest, a));
    if (isBernoulli(attrs)) {
      bernoulli.add(f.let(v128.and(bernoulliEntropy(a, logA, s), isSeen)));
    }
  });
  return { mass, logs, distance, learned, bernoulli, highest, small, infinite };
}

/** Returns the first key from `start` on with a score of at least `bound`. Such a key must exist. */
function firstKey(f: Func, { memory, start }: QueryRow, bound: F32): Local<"i32"> {
  const [at, matches] = [f.let(element(memory, start)), f.local("i32")];
  const least = f.let(f32x4.splat(bound));
  f.while(() => {
    f.set(matches, i32x4.bitmask(f32x4.ge(load("v128", at), least)));
    return i32.eqz(matches);
  }, () => f.set(at, i32.add(at, 16)));
  return f.let(i32.add(i32.shrU(i32.sub(at, memory), 2), i32.ctz(matches)));
}

/** Writes the code that adds a row with finite weights to all sums except those of the entropy (see `addEntropies`). */
function countRow(
  f: Func,
  row: QueryRow,
  { sizes, attrs, sums, weights }: Block,
  { n, finite, moments, placed, highest }: ReturnType<typeof sumsOfScores>,
  of: ReturnType<typeof sumsOfWeights>,
): void {
  const sequence = sizes.S - attrs.extra;
  const { add } = sums;
  const position = f.let(i32.add(row.i, queryOffset(sizes, attrs)));
  const { start } = row;
  const span = f.let(i32.sub(row.end, start));
  /** Returns the weight of a key that has a position, or 0 if the key is not visible. */
  const weightOf = (key: I32): F64 => {
    const j = f.let(key);
    const isThere = f.let(i32.and(i32.ltU(i32.sub(j, start), span), i32.ltU(j, sequence)));
    const a = load("f32", element(row.memory, select(isThere, j, start)), weights);
    return f64.promote(select(isThere, a, float(0)));
  };
  const count = (name: string, condition: I32): Local<"i32"> => {
    const is = f.let(condition);
    add(name, f64.fromU(is));
    return is;
  };
  const where = (condition: I32, x: F64): F64 => f64.mul(f64.fromU(condition), x);
  const mass = f.let(of.mass.sum);
  add("rows", double(1));
  count("rows_of_two", i32.gtU(n, 1));
  add("rowmass", mass);
  add("rowmass_squares", f64.mul(mass, mass));
  add("squares", of.mass.squares);
  add("max", f64.promote(largestOf(of.highest)));
  add("sparsity", f64.div(f64.fromU(of.small.count), f64.fromU(n)));
  add("bernoulli_entropy", isBernoulli(attrs) ? f64.div(of.bernoulli.sum, f64.fromU(n)) : double(NaN));
  const hasPrevious = count("rows_with_previous", i32.geS(position, 1));
  const seesFirst = f32.ne(load("f32", row.memory), -Infinity);
  const sink = count("rows_sunk", i32.and(i32.and(hasPrevious, i32.eqz(start)), seesFirst));
  add("sink", where(sink, weightOf(int(0))));
  add("previous", weightOf(i32.sub(position, 1)));
  add("self", weightOf(position));
  if (attrs.repeated > 0) {
    const repeats = count("rows_repeated", i32.geS(position, attrs.repeated));
    add("induction", where(repeats, weightOf(i32.sub(position, attrs.repeated - 1))));
    add("duplicate", weightOf(i32.sub(position, attrs.repeated)));
  }
  f.if(count("rows_placed", f32.gt(placed, -Infinity)), () => {
    add("argmax_distance", f64.fromS(i32.sub(position, argmaxOf(f, row, placed, attrs))));
    const placedMass = f.let(attrs.extra > 0 ? f64.sub(mass, of.learned.sum) : mass);
    f.if(f64.gt(placedMass, 0), () => add("distance", f64.div(of.distance.sum, placedMass)));
  });
  if (attrs.extra > 0) {
    f.if(f64.gt(mass, 0), () => add("extra_mass", f64.div(of.learned.sum, mass)));
  }
  add("pairs", f64.fromU(finite));
  add("scores", moments.sum);
  add("score_squares", moments.squares);
  add("score_max", f64.promote(highest));
}

/** Returns the key with the largest weight among the keys that have a position, and the first such key if there are several. */
function argmaxOf(f: Func, row: QueryRow, placed: F32, { activation }: StatisticsAttrs): I32 {
  const definition = ACTIVATIONS[activation];
  const zeroBelow0 = !definition.normalised && definition.zeroBelow0 === true;
  // If no score is above 0, all weights are 0, and the result is the first visible key.
  const bound = zeroBelow0 ? select(f32.gt(placed, 0), placed, float(LOWEST)) : placed;
  return firstKey(f, row, bound);
}

/**
 * Writes the code that adds the entropies of all rows to the sums. Three columns in memory hold the mass, the sum of a ln a and
 * the number of visible keys of each row.
 */
function addEntropies(f: Func, columns: I32, rows: number, { add }: Sums): void {
  const [entropies, ratios, keys] = [vectorSum(f), vectorSum(f), vectorSum(f)];
  f.loop(columns, f.let(i32.add(columns, 4 * rows)), 16, (at) => {
    const [mass, logs, n] = [0, 1, 2].map((k) => f.let(load("v128", at, 4 * rows * k)));
    const divisor = f.let(f32x4.pmax(mass, TINY));
    const exact = f.let(f32x4.sub(log(f, divisor), f32x4.div(logs, divisor)));
    const entropy = f.let(v128.and(exact, v128.and(f32x4.gt(exact, 0), f32x4.gt(mass, 0))));
    entropies.add(entropy);
    ratios.add(f.let(v128.and(f32x4.div(entropy, log(f, n)), f32x4.gt(n, 1))));
    // For rows that are not counted, n is 0.
    keys.add(f.let(v128.and(exp(f, entropy), f32x4.gt(n, 0))));
  });
  add("entropy", entropies.sum);
  add("entropy_ratio", ratios.sum);
  add("effective_keys", keys.sum);
}

/** Writes the code for a row, which computes the scores, the weights (if they can be finite) and the sums. */
function statisticsOfRow(
  f: Func,
  row: QueryRow,
  block: Block,
  term: I32 | undefined,
  column: (i: I32) => I32,
): void {
  const { attrs, sums: { add }, rows } = block;
  const scores = sumsOfScores(f, row, block);
  const { n, finite } = scores;
  f.if(n, () => {
    const termOfRow = f.let(term ? loadSplat(element(term, row.i)) : f32x4.splat(1));
    const invalid = f.let(i32.sub(n, finite));
    const weigh = () => {
      const of = sumsOfWeights(f, row, block, n, termOfRow);
      if (!isNormalised(attrs)) f.set(invalid, of.infinite.count);
      f.if(i32.eqz(invalid), () => {
        countRow(f, row, block, scores, of);
        const at = f.let(column(row.i));
        [of.mass.sum, of.logs.sum, f64.fromU(n)].forEach((x, k) => f.store(at, f32.demote(x), 4 * rows * k));
      });
    };
    add("score_nonfinite", f64.fromU(invalid));
    // A single NaN or infinite score makes every weight of a normalised row NaN.
    if (isNormalised(attrs)) f.if(invalid, () => f.set(invalid, n), weigh);
    else weigh();
    add("nonfinite", f64.fromU(invalid));
  });
}

/** Writes the code that adds the rows of a tile to the sums. */
function addTile(f: Func, tile: Tile, sums: Sums): void {
  const { first, index, call: { sizes }, inputs } = tile;
  const attrs = tile.call.attrs as StatisticsAttrs;
  const rows = upTo(tile.rows, 4);
  const columns = f.let(i32.add(tile.memory, 4 * pairElements(sizes, tile)));
  f.zero(columns, 12 * rows);
  const term = hasRowTerm(attrs) ? f.let(element(inputs[2], index, 4 * sizes.T)) : undefined;
  forRows(f, tile, (row) => {
    const column = (i: I32): I32 => element(columns, i32.sub(i, first));
    statisticsOfRow(f, row, { sizes, attrs, sums, weights: arrayBytes(sizes), rows }, term, column);
  });
  addEntropies(f, columns, rows, sums);
}

/**
 * Returns the phases that compute the statistics of a call, or undefined if the activation has no WebAssembly code. Inputs: q, k,
 * the row terms if the attention saves them, and the attention's extra inputs.
 */
export function statisticsSimd({ inputs: [q, k], attrs }: Call<StatisticsAttrs>): Simd | undefined {
  if (!isKnown(attrs)) return undefined;
  const call = { sizes: attentionSizes([q, k, k]), attrs };
  return simdOfTiles({
    label: "attention statistics",
    call,
    record: RECORD,
    products: [scoresOf(call)],
    arrays: 1,
    // addEntropies needs three numbers per row; the fourth covers rounding the number of rows up to a multiple of four.
    numbers: 4,
    add: addTile,
    ofSample: ["rows", "squares"],
    sample(head, sample) {
      head.add("samples", f64.fromU(f64.gt(sample("rows"), 0)));
      head.add("pnorm", f64.sqrt(sample("squares")));
    },
    columns: wasmColumns(ATTENTION_TABLE, columnNames(attrs)),
  });
}
