// Matrix products in WebAssembly: y = act(op(a) op(b) + bias) + addend. Operands are packed into strips, then the rows of
// tiles are distributed over the threads. A small product is packed and multiplied in one block. If a has few rows and b is
// transposed, nothing is packed.
import type { Addresses, Phase, Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { element, type Func, type I32, i32, type Int, int } from "../../src/wasm/mod.ts";
import { smaller } from "../simd/rows.ts";
import { GAP, type Packer, packer } from "./pack.ts";
import { activate } from "./activate.ts";
import { dots } from "./dots.ts";
import { productOf } from "./epilogue.ts";
import {
  BLOCK,
  divided,
  labelOf,
  type Operands,
  operandsOf,
  type Part,
  type Product,
  type Range,
  rangesOf,
} from "./product.ts";
import { type MatmulAttrs, matmulSizes } from "./sizes.ts";
import { COLUMNS, rowOfTiles, ROWS, type Tile } from "./tiles.ts";

/** Maximum number of rows of a with which a product with a transposed b is computed as dot products. */
const DOT_ROWS = 12;
/** Maximum number of values along k per tile. Longer sums are accumulated in y. */
const MOST_K = 512;
/** Maximum number of values along k that are packed in one phase. */
const PACKED_K = 8 * MOST_K;
/**
 * Each matrix of a batch is computed in one block if it takes at most `SMALL` multiply-adds times the batch size, and if its b
 * has at most `SMALL` values.
 */
const SMALL = 2 ** 18;
/** Number of values of an operand that stay in a core's L2 cache. */
const CACHED = 96 * 1024;
/** A transposed a with more values than this is packed even if N is small, and an untransposed b even if M is at most 256. */
const LARGE = 2 ** 19;
/** Maximum number of values of one packed operand. */
const PACKED = 2 ** 22;

/**
 * Divides M rows into `count` rows of tiles. The first `extra` of them have a height of `rows`, the others of `rows` - 1, so
 * that no tile is much flatter than the others.
 */
function tilesOf(M: number) {
  const count = Math.ceil(M / ROWS);
  const rows = Math.ceil(M / count);
  return { count, rows, extra: M - count * (rows - 1) };
}

/**
 * Divides the columns of a part into strips. Returns the number of full strips, the number of columns in the narrow last strip
 * (0 if there is none), and the number of all strips.
 */
const stripsOf = ({ size }: Range) => ({
  full: Math.floor(size / COLUMNS),
  rest: size % COLUMNS,
  all: Math.ceil(size / COLUMNS),
});

/** Returns the packer of a part of b. */
function packerOfB({ N, K, transB }: Product, { columns, k }: Part): Packer {
  const { full, rest } = stripsOf(columns);
  const groups = [
    ...(full ? [{ width: COLUMNS, room: COLUMNS, count: full }] : []),
    ...(rest ? [{ width: rest, room: COLUMNS, count: 1 }] : []),
  ];
  return packer({ groups, K: k.size, row: 4 * (transB ? K : N), alongK: transB });
}

/** Returns the packer of a part of a transposed a, with one strip for each row of tiles. */
function packerOfA({ M }: Product, part: Part): Packer {
  const { count, rows, extra } = tilesOf(part.rows.size);
  const groups = [
    { width: rows, room: rows, count: extra },
    ...(extra < count ? [{ width: rows - 1, room: rows - 1, count: count - extra }] : []),
  ];
  return packer({ groups, K: part.k.size, row: 4 * M, alongK: false });
}

/**
 * Returns the distances in bytes at which a tile reads b: those in the packed strips, or those in the input if b is not
 * packed.
 */
const stepsOfB = ({ N }: Product, { k }: Part, packed: boolean): Tile["b"] =>
  packed ? { step: 4 * COLUMNS, strip: 4 * (COLUMNS * k.size + GAP) } : { step: 4 * N, strip: 4 * COLUMNS };

/** The strips of operands that rows of tiles read. */
interface Strips {
  /** Address of the packed rows of a; undefined if a is read in place. */
  readonly a?: I32;
  readonly b: I32;
  /** Whether b is packed. */
  readonly packed: boolean;
  /** The index of the first strip of b that is read, and the number of full strips that are read. */
  readonly first: Int;
  readonly count: Int;
  /** Not 0 if the narrow last strip follows the full strips. */
  readonly last: Int;
}

/** Writes code that computes the rows of tiles from `first` up to, but not including, `end`. */
function multiply(f: Func, p: Product, part: Part, at: Operands, strips: Strips, first: Int, end: Int): void {
  const { M, N, K, transA } = p;
  const { k, columns } = part;
  const { count, rows, extra } = tilesOf(part.rows.size);
  const { full, rest } = stripsOf(columns);
  const b = stepsOfB(p, part, strips.packed);
  // Distances between the values of a. In a packed strip, the values of all its rows for one k are adjacent.
  const direct = transA ? { row: 4, step: 4 * M } : { row: 4 * K, step: 4 };
  const distances = (rows: number) => strips.a ? { row: 4, step: 4 * rows } : direct;
  const ends = k.first + k.size === K;
  const shape = {
    K: k.size,
    b,
    from: k.first > 0 ? "y" as const : p.bias ? "bias" as const : "zero" as const,
    addend: p.addend && ends && !p.activation,
  };
  f.loop(first, end, 1, (t) => {
    const row = f.let(i32.add(i32.mul(t, rows - 1), smaller(t, extra)));
    const a = f.let(
      strips.a
        ? element(strips.a, i32.add(i32.mul(row, k.size), i32.mul(t, GAP)))
        : i32.add(at.a, i32.mul(row, direct.row)),
    );
    const corner = f.let(i32.mul(row, 4 * N));
    const run = (rows: number): void => {
      const tiles = (width: number, strip: Int, count: Int): void => {
        const column = i32.mul(strip, 4 * COLUMNS);
        const y = i32.add(corner, column);
        f.call(
          rowOfTiles(f.module, { ...shape, rows, columns: width, a: distances(rows) }),
          ...[a, i32.add(strips.b, i32.mul(strip, b.strip))],
          ...[p.bias ? i32.add(at.bias, column) : int(0), p.addend ? i32.add(at.addend, y) : int(0)],
          ...[i32.add(at.y, y), int(4 * N), int(count)],
        );
      };
      if (full) tiles(COLUMNS, strips.first, strips.count);
      if (rest) f.if(strips.last, () => tiles(rest, full, 1));
      if (!ends) return;
      const start = i32.add(corner, i32.mul(strips.first, 4 * COLUMNS));
      activate(f, p, at, start, rows, { width: COLUMNS, rest, count: strips.count, last: strips.last });
    };
    if (extra === count) run(rows);
    else f.if(i32.ltU(t, extra), () => run(rows), () => run(rows - 1));
  });
}

/**
 * True if a is packed: a must be transposed, and in addition N is large, a is large, or the rows of a would share cache sets.
 */
const packsA = ({ M, N, K, transA }: Product): boolean =>
  transA && (N > 256 || M * K > LARGE || M % 1024 === 0);
/**
 * True if b is packed: always if b is transposed, otherwise if b exceeds the cache and a has enough rows to repay the packing.
 */
const packsB = ({ M, N, K, transB }: Product): boolean =>
  transB || (M > 2 * ROWS && N * K > (M > 256 ? CACHED : LARGE));

/** Returns a phase in which each block computes one matrix of the batch. */
function whole(p: Product): Simd {
  const { batch, M, N, K } = p;
  const packed = packsB(p);
  const parts = rangesOf(K, MOST_K, 4).map((k): Part => {
    return { rows: { first: 0, size: M }, columns: { first: 0, size: N }, k };
  });
  const { full } = stripsOf({ first: 0, size: N });
  return {
    own: packed ? packerOfB(p, parts[0]).size : 0,
    phases: [{
      label: labelOf(p),
      blocks: batch,
      kernel(f, block, at) {
        for (const part of parts) {
          const o = operandsOf(f, p, part, at, batch === 1 ? 0 : block);
          if (packed) packerOfB(p, part).write(f, o.b, at.own);
          const strips = { b: packed ? at.own : o.b, packed, first: 0, count: full, last: 1 };
          multiply(f, p, part, o, strips, 0, tilesOf(M).count);
        }
      },
    }],
  };
}

/**
 * Packs and multiplies in phases of many blocks. The parts that a phase computes differ only in their range of k. The phases
 * are made when they are read, because a product that no memory can hold would have millions of phases.
 */
function shared(p: Product, product: Simd["product"]): Simd {
  const { batch, M, N, K } = p;
  const allK = rangesOf(K, PACKED_K, MOST_K);
  const most = PACKED / allK[0].size;
  const allColumns = rangesOf(N, packsB(p) ? most : N, COLUMNS);
  const allRows = rangesOf(M, packsA(p) ? most : M, 1);
  const partsOf = (columns: Range, { first, size }: Range, rows: Range): Part[] =>
    rangesOf(size, MOST_K, 4).map((k) => ({ rows, columns, k: { first: first + k.first, size: k.size } }));
  const largest = packings(p, partsOf(allColumns[0], allK[0], allRows[0]), 0);
  const phases = (): Phase[] =>
    Array.from(
      { length: batch },
      (_, matrix) =>
        allColumns.flatMap((columns) =>
          allK.flatMap((k) =>
            allRows.flatMap((rows) => {
              const parts = partsOf(columns, k, rows);
              // All ranges of rows use the same strips of b, so b is packed only for the first range.
              const todo = packings(p, parts, matrix).filter(({ input }) => input === 0 || rows.first === 0);
              const packs = todo.length ? [phaseOf(`${labelOf(p)} pack`, todo)] : [];
              return [...packs, multiplyPhase(p, parts, matrix)];
            })
          )
        ),
    ).flat();
  const scratch = [1, 0].map((input) =>
    largest.filter((packing) => packing.input === input).reduce((sum, { size }) => sum + size, 0)
  );
  return {
    get phases() {
      return phases();
    },
    scratch,
    product,
  };
}

/** One of several kinds of blocks in a phase. `kernel` gets the block's index among the blocks of its kind. */
type Blocks = Pick<Phase, "blocks" | "kernel">;

/** Returns a phase with several kinds of blocks, one kind after the other. */
function phaseOf(label: string, kinds: readonly Blocks[]): Phase {
  const write = (
    f: Func,
    block: I32,
    at: Addresses,
    [{ blocks, kernel }, ...others]: readonly Blocks[],
  ): void => {
    if (!others.length) return kernel(f, block, at);
    f.if(i32.ltU(block, blocks), () => kernel(f, block, at), () => {
      write(f, f.let(i32.sub(block, blocks)), at, others);
    });
  };
  return {
    label,
    blocks: kinds.reduce((sum, { blocks }) => sum + blocks, 0),
    kernel: (f, block, at) => write(f, block, at, kinds),
  };
}

/** Blocks that pack a part of a (input 0) or b (input 1) into a scratch buffer, from `offset` on. */
interface Packing extends Blocks {
  readonly part: Part;
  readonly input: 0 | 1;
  readonly offset: number;
  readonly size: number;
}

/**
 * Returns the packings needed for parts that are multiplied in one phase. b is packed into scratch buffer 0, and a into
 * scratch buffer 1.
 */
function packings(p: Product, parts: readonly Part[], matrix: number): Packing[] {
  const offsets = [0, 0];
  return parts.flatMap((part) =>
    ([1, 0] as const).filter((input) => input ? packsB(p) : packsA(p)).map((input): Packing => {
      const { blocks, size, write } = input ? packerOfB(p, part) : packerOfA(p, part);
      const offset = offsets[input];
      offsets[input] += size;
      return {
        part,
        input,
        offset,
        size,
        blocks,
        kernel(f, block, at) {
          const { a, b } = operandsOf(f, p, part, at, matrix);
          write(f, input ? b : a, element(at.scratch[1 - input], offset), block);
        },
      };
    })
  );
}

/** Returns the phase that multiplies. A block computes some rows of tiles, and adds up all parts in each tile. */
function multiplyPhase(p: Product, parts: readonly Part[], matrix: number): Phase {
  const [{ rows, columns, k }] = parts;
  const tiles = tilesOf(rows.size).count;
  const { full, all } = stripsOf(columns);
  // The blocks that use the same group of strips follow each other, so that a thread finds the strips in its cache.
  const perGroup = rangesOf(all, CACHED / (COLUMNS * k.size), 1)[0].size;
  const groups = Math.ceil(all / perGroup);
  const work = ROWS * COLUMNS * parts.length * k.size * perGroup;
  const perBlock = rangesOf(tiles, Math.round(BLOCK / work), 1)[0].size;
  const blocksOfRows = Math.ceil(tiles / perBlock);
  return {
    label: labelOf(p),
    blocks: groups * blocksOfRows,
    kernel(f, block, at) {
      const [group, row] = divided(f, block, groups === 1 ? undefined : blocksOfRows);
      const first = f.let(i32.mul(group, perGroup));
      const count = f.let(smaller(i32.sub(full, first), perGroup));
      const t = f.let(i32.mul(row, perBlock));
      const end = f.let(smaller(i32.add(t, perBlock), tiles));
      const packed = packings(p, parts, matrix);
      for (const part of parts) {
        const o = operandsOf(f, p, part, at, matrix);
        const of = (input: 0 | 1): I32 | undefined => {
          const packing = packed.find((packing) => packing.input === input && packing.part === part);
          return packing && f.let(element(at.scratch[1 - input], packing.offset));
        };
        const b = of(1);
        const last = i32.eq(group, groups - 1);
        multiply(f, p, part, o, { a: of(0), b: b ?? o.b, packed: !!b, first, count, last }, t, end);
      }
    },
  };
}

/** Returns the phases that compute a product. */
export function matmulSimd(call: Call<MatmulAttrs>): Simd {
  const { inputs, attrs, needed } = call;
  const p: Product = {
    ...matmulSizes(inputs, attrs),
    ...attrs,
    savesPre: attrs.activation !== undefined && needed[1],
  };
  const { batch, M, N, K, transA, transB } = p;
  if (M <= DOT_ROWS && transB && !transA) return dots(p);
  const work = M * N * K;
  const few = work <= SMALL * batch && N * K <= SMALL;
  const product = productOf(call);
  return few ? { ...whole(p), product } : shared(p, product);
}
