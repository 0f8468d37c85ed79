// Statistics in WebAssembly. Computing the partial of a chunk takes two passes over its elements, typically about 1000, which
// stay in the L1 cache. The first pass computes the mean m; the second sums d = x - m and d^2, so that the rounding error of m
// cancels:
//
//     mean = m + sum(d) / n,  m2 = sum(d^2) - sum(d)^2 / n
//
// Every 1024 elements, the float32 sums are added to float64 sums. A partial has 32 bytes; see `AT`. With float64, the
// exponents and compensations of partial.wgsl are not needed.
import type { Phase } from "../../src/graph/simd.ts";
import { element, type F32, f32, f32x4, f64, f64x2, type Func, i32 } from "../../src/wasm/mod.ts";
import { type FunctionRef, type I32, i32x4, int, lanes, load, loadSplat } from "../../src/wasm/mod.ts";
import { type Local, type Module, select, type V128, v128, type Value } from "../../src/wasm/mod.ts";
import type { RowsAttrs } from "./chunks.ts";
import { PARTIAL } from "./table.ts";

/** Byte offsets in a partial: counts of finite elements and of zeros (i32), minimum and maximum (f32), mean and m2 (f64). */
export const AT = { finite: 0, zeros: 4, low: 8, high: 12, mean: 16, m2: 24 } as const;

/** Number of chunks per block. Computing a block takes about 5 microseconds. */
const CHUNKS = 16;

/** Number of elements after which the float32 sums are added to the float64 sums. */
const PIECE = 1024;

/** The location of a chunk's elements: rows of `length` elements, the first at address `at`, `stride` bytes apart. */
interface Place {
  readonly at: I32;
  readonly rows: I32;
  readonly length: I32;
  readonly stride: I32;
}

/** Processes four elements. If `only` is defined, all lanes hold the same element, which counts only in the lane of `only`. */
type Take = (x: V128, accumulator: number, only: V128 | undefined) => void;

const FIRST_LANE = lanes([-1, 0, 0, 0]);

/** Writes a loop over a chunk. `flush` runs at the end, and before that often enough that float32 sums stay accurate. */
function visit(f: Func, { at, rows, length, stride }: Place, take: Take, flush: () => void): void {
  const [row, rowsLeft, pending] = [f.let(at), f.let(rows), f.let(int(0))];
  const take4 = (address: I32, accumulators: number): void => {
    for (let k = 0; k < accumulators; k++) take(f.let(load("v128", address, 16 * k)), k, undefined);
  };
  f.while(() => rowsLeft, () => {
    const [from, left] = [f.let(row), f.let(length)];
    f.while(() => left, () => {
      const count = f.let(select(i32.ltU(left, PIECE), left, int(PIECE)));
      const upTo = (multiple: number) => f.let(element(from, i32.and(count, -multiple)));
      const [end16, end4, end] = [upTo(16), upTo(4), upTo(1)];
      f.loop(from, end16, 64, (address) => take4(address, 4));
      f.loop(end16, end4, 16, (address) => take4(address, 1));
      f.loop(end4, end, 4, (address) => take(f.let(loadSplat(address)), 0, FIRST_LANE));
      f.set(from, end);
      f.set(left, i32.sub(left, count));
      f.set(pending, i32.add(pending, count));
      f.if(i32.geU(pending, PIECE), () => {
        flush();
        f.set(pending, int(0));
      });
    });
    f.set(row, i32.add(row, stride));
    f.set(rowsLeft, i32.sub(rowsLeft, 1));
  });
  flush();
}

/** Creates a sum of vectors, which consists of four float32 accumulators and their total in float64. */
function summed(f: Func) {
  const parts = [0, 1, 2, 3].map(() => f.local("v128"));
  const total = f.local("v128");
  return {
    parts,
    /** Adds the accumulators to the total, and sets them to 0. */
    flush(): void {
      const [a, b, c, d] = parts;
      const all = f.let(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
      const pairs = f64x2.add(f64x2.promote(all), f64x2.promote(v128.shuffle(all, all, [2, 3, 2, 3])));
      f.set(total, f64x2.add(total, pairs));
      for (const part of parts) f.set(part, f32x4.splat(0));
    },
    total: (): Local<"f64"> => f.let(f64.add(f64x2.lane(total, 0), f64x2.lane(total, 1))),
  };
}

const acrossLanes = <T>(of: (lane: number) => T, both: (a: T, b: T) => T): T =>
  both(both(of(0), of(1)), both(of(2), of(3)));

/** The sums of the first pass. */
interface First {
  readonly n: Local<"i32">;
  readonly zeros: I32;
  readonly low: Local<"f32">;
  readonly high: Local<"f32">;
  readonly sum: Local<"f64">;
}

/**
 * A careful pass divides elements by this number so that their sum cannot overflow. The second pass corrects the error in the
 * mean where the division rounds a subnormal result.
 */
const SHRUNK = 2 ** 11;

/** Returns the mask of the elements that count and, if `careful`, are finite; undefined means that all four elements count. */
function maskOf(f: Func, careful: boolean, x: V128, only: V128 | undefined): V128 | undefined {
  if (!careful) return only;
  const finite = f32x4.lt(f32x4.abs(x), Infinity);
  return f.let(only ? v128.and(finite, only) : finite);
}

/** Computes counts, minimum, maximum and sum. Without `careful`, the sum is not finite if an element is not finite. */
function firstPass(f: Func, place: Place, careful: boolean): First {
  const sum = summed(f);
  const [zeros, finite] = [f.local("v128"), f.local("v128")];
  const lows = [0, 1].map(() => f.let(f32x4.splat(Infinity)));
  const highs = [0, 1].map(() => f.let(f32x4.splat(-Infinity)));
  visit(f, place, (x, k, only) => {
    const mask = maskOf(f, careful, x, only);
    const kept = mask ? v128.and(x, mask) : x;
    f.set(sum.parts[k], f32x4.add(sum.parts[k], careful ? f32x4.mul(kept, 1 / SHRUNK) : kept));
    const [low, high] = [lows[k % 2], highs[k % 2]];
    f.set(low, f32x4.pmin(low, mask ? v128.select(mask, x, Infinity) : x));
    f.set(high, f32x4.pmax(high, mask ? v128.select(mask, x, -Infinity) : x));
    const zero = f32x4.eq(x, 0);
    f.set(zeros, i32x4.sub(zeros, only ? v128.and(zero, only) : zero));
    if (careful) f.set(finite, i32x4.sub(finite, mask!));
  }, sum.flush);
  const count = (x: V128): I32 => acrossLanes<I32>((lane) => i32x4.lane(x, lane), i32.add);
  const [low, high] = [f.let(f32x4.pmin(lows[0], lows[1])), f.let(f32x4.pmax(highs[0], highs[1]))];
  const total = sum.total();
  return {
    n: f.let(careful ? count(finite) : i32.mul(place.rows, place.length)),
    zeros: count(zeros),
    low: f.let(acrossLanes<F32>((lane) => f32x4.lane(low, lane), f32.min)),
    high: f.let(acrossLanes<F32>((lane) => f32x4.lane(high, lane), f32.max)),
    sum: careful ? f.let(f64.mul(total, SHRUNK)) : total,
  };
}

/**
 * Returns 2^-e, where 2^e is the largest power of two that is at most the largest magnitude of an element. e is clamped so that
 * 2^e and 2^-e are normal floats.
 */
function scaleOf(f: Func, low: F32, high: F32): Local<"f32"> {
  const biased = f.let(i32.shrU(i32.bits(f32.abs(f32.max(f32.neg(low), high))), 23));
  f.set(biased, select(i32.gtU(biased, 253), int(253), select(biased, biased, int(1))));
  return f.let(f32.ofBits(i32.shl(i32.sub(254, biased), 23)));
}

/** Computes mean and m2. Elements are scaled so that no square overflows. */
function secondPass(f: Func, place: Place, careful: boolean, { n, low, high, sum }: First) {
  const scale = scaleOf(f, low, high);
  const scales = f.let(f32x4.splat(scale));
  const count = f.let(f64.fromU(n));
  const middle = f.let(f32.demote(f64.mul(f64.div(sum, count), f64.promote(scale))));
  const minus = f.let(f32x4.splat(f32.neg(middle)));
  const [left, squares] = [summed(f), summed(f)];
  visit(f, place, (x, k, only) => {
    const mask = maskOf(f, careful, x, only);
    const d = f32x4.madd(mask ? v128.and(x, mask) : x, scales, minus);
    const distance = f.let(mask ? v128.and(d, mask) : d);
    f.set(left.parts[k], f32x4.add(left.parts[k], distance));
    f.set(squares.parts[k], f32x4.madd(distance, distance, squares.parts[k]));
  }, () => {
    left.flush();
    squares.flush();
  });
  const unit = f.let(f64.div(1, f64.promote(scale)));
  const [rest, all] = [left.total(), squares.total()];
  const m2 = f64.max(f64.sub(all, f64.div(f64.mul(rest, rest), count)), 0);
  return {
    mean: f64.mul(f64.add(f64.promote(middle), f64.div(rest, count)), unit),
    m2: f64.mul(m2, f64.mul(unit, unit)),
  };
}

/**
 * Returns the function that writes the partial of a chunk. If `careful` is given and the sum is not finite, the function calls
 * `careful` instead.
 */
function partialFunction(module: Module, careful?: FunctionRef): FunctionRef {
  return module.func({ params: ["i32", "i32", "i32", "i32", "i32"] }, (f, at, rows, length, stride, to) => {
    const place = { at, rows, length, stride };
    const first = firstPass(f, place, careful === undefined);
    if (careful) {
      f.if(i32.eqz(f64.lt(f64.abs(first.sum), Infinity)), () => {
        f.call(careful, at, rows, length, stride, to);
        f.return();
      });
    }
    const store = (values: Readonly<Record<Exclude<keyof typeof AT, "mean" | "m2">, Value>>): void => {
      for (const [name, value] of Object.entries(values)) f.store(to, value, AT[name as keyof typeof AT]);
    };
    const { n, zeros, low, high } = first;
    store({ finite: n, zeros, low, high });
    f.if(n, () => {
      const { mean, m2 } = secondPass(f, place, careful === undefined, first);
      f.store(to, mean, AT.mean);
      f.store(to, m2, AT.m2);
    }, () => f.zero(i32.add(to, AT.mean), 16));
  });
}

/** The function that computes partials, keyed by module. All tensors share it, because generating it is slow. */
const partialFunctions = new WeakMap<Module, FunctionRef>();

function partialIn(module: Module): FunctionRef {
  const known = partialFunctions.get(module) ?? partialFunction(module, partialFunction(module));
  partialFunctions.set(module, known);
  return known;
}

/** Returns the location of a chunk of contiguous elements, which is read from the chunk's row of the table. */
function contiguous(f: Func, x: I32, row: I32): Place {
  const [share, shares, begin, size] = [0, 4, 8, 12].map((offset) => f.let(load("i32", row, offset)));
  // Shares begin at multiples of four elements of the tensor.
  const first = f.let(i32.shrU(begin, 2));
  const fours = i32.sub(i32.shrU(i32.add(i32.add(begin, size), 3), 2), first);
  const each = f.let(i32.divU(i32.sub(i32.add(fours, shares), 1), shares));
  const start = f.let(i32.shl(i32.add(first, i32.mul(share, each)), 2));
  const [stop, end] = [f.let(i32.add(start, i32.shl(each, 2))), f.let(i32.add(begin, size))];
  const from = f.let(select(i32.gtU(start, begin), start, begin));
  const to = f.let(select(i32.ltU(stop, end), stop, end));
  const length = select(i32.gtU(to, from), i32.sub(to, from), int(0));
  return { at: element(x, from), rows: int(1), length, stride: int(0) };
}

/**
 * Returns the location of a chunk of rows, which is read from the chunk's row of the table. The rows of a range are split among
 * the chunks that share the range.
 */
function inRows(f: Func, x: I32, row: I32, { length, every }: RowsAttrs): Place {
  const [share, shares, begin, size] = [0, 4, 8, 12].map((offset) => f.let(load("i32", row, offset)));
  const count = f.let(i32.divU(size, length));
  const each = f.let(i32.divU(i32.sub(i32.add(count, shares), 1), shares));
  const from = f.let(i32.mul(share, each));
  const to = f.let(i32.add(from, each));
  f.if(i32.gtU(to, count), () => f.set(to, count));
  const rows = select(i32.gtU(to, from), i32.sub(to, from), int(0));
  const at = element(x, i32.add(begin, i32.mul(from, every)));
  return { at, rows, length: int(length), stride: int(4 * every) };
}

/** Returns the phase that computes the partials of all chunks of a tensor; see `chunkStatisticsOp`. */
export function chunkPhase(chunks: number, rows: RowsAttrs | null): Phase {
  return {
    label: "chunk_statistics",
    blocks: Math.ceil(chunks / CHUNKS),
    kernel(f, block, { inputs: [x, table], outputs: [partials] }) {
      const partial = partialIn(f.module);
      const first = f.let(i32.mul(block, CHUNKS));
      const end = f.let(i32.add(first, CHUNKS));
      f.if(i32.gtU(end, chunks), () => f.set(end, int(chunks)));
      f.loop(first, end, 1, (chunk) => {
        const row = f.let(element(table, chunk, 16));
        const write = ({ at, rows, length, stride }: Place): void =>
          f.call(partial, at, rows, length, stride, element(partials, chunk, 4 * PARTIAL));
        if (!rows) return write(contiguous(f, x, row));
        f.if(
          i32.ltU(chunk, rows.contiguous),
          () => write(contiguous(f, x, row)),
          () => write(inRows(f, x, row, rows)),
        );
      });
    },
  };
}
