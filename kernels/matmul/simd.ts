// Matrix products in WebAssembly: y = act(op(a) op(b) + bias) + addend. Operands are packed into strips, then rows of tiles are
// distributed over the threads; small products do both in one block, and few rows times a transposed b need no packing.
import type { Addresses, Phase, Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { element, type Func, type I32, i32, type Int, int } from "../../src/wasm/mod.ts";
import { smaller } from "../simd/rows.ts";
import { GAP, type Packer, packer } from "./pack.ts";
import { activate } from "./activate.ts";
import { dots } from "./dots.ts";
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

/** Maximum number of rows that are computed as dot products. */
const DOT_ROWS = 8;
/** Maximum number of values along k per tile; longer sums are accumulated in y. */
const MOST_K = 1024;
/** A product with at most this many multiply-adds and values of b is one block. */
const SMALL = 2 ** 18;
const SMALL_OF_BATCH = 2 ** 24;
/** Number of values of b that stay in a core's L2 cache. */
const CACHED = 96 * 1024;
/** Values of one packed operand. */
const PACKED = 2 ** 22;

/** The heights of rows of tiles: the first `extra` of `count` have `rows` rows, the others one less. None is flat if M > 3. */
function tilesOf(M: number) {
  const count = Math.ceil(M / ROWS);
  const rows = Math.ceil(M / count);
  return { count, rows, extra: M - count * (rows - 1) };
}

/** Strips of a part's columns of b: how many are full, and the columns of the last one. */
const stripsOf = ({ size }: Range) => ({
  full: Math.floor(size / COLUMNS),
  rest: size % COLUMNS,
  all: Math.ceil(size / COLUMNS),
});

/** How a part's b is packed. */
function packerOfB({ N, K, transB }: Product, { columns, k }: Part): Packer {
  const { full, rest } = stripsOf(columns);
  const groups = [
    ...(full ? [{ width: COLUMNS, room: COLUMNS, count: full }] : []),
    ...(rest ? [{ width: rest, room: COLUMNS, count: 1 }] : []),
  ];
  return packer({ groups, K: k.size, row: 4 * (transB ? K : N), alongK: transB });
}

/** How a part's rows of a transposed a are packed: a strip a tile. */
function packerOfA({ M }: Product, part: Part): Packer {
  const { count, rows, extra } = tilesOf(part.rows.size);
  const groups = [
    { width: rows, room: rows, count: extra },
    ...(extra < count ? [{ width: rows - 1, room: rows - 1, count: count - extra }] : []),
  ];
  return packer({ groups, K: part.k.size, row: 4 * M, alongK: false });
}

/** How tiles read b: packed, or directly from the input if few rows use it. */
const stepsOfB = ({ N }: Product, { k }: Part, packed: boolean): Tile["b"] =>
  packed ? { step: 4 * COLUMNS, strip: 4 * (COLUMNS * k.size + GAP) } : { step: 4 * N, strip: 4 * COLUMNS };

/** What rows of tiles read. */
interface Strips {
  /** Packed rows of a; undefined: they are read where they are. */
  readonly a?: I32;
  readonly b: I32;
  /** Whether b is packed. */
  readonly packed: boolean;
  /** Strips first .. first + count of b. */
  readonly first: Int;
  readonly count: Int;
  /** Not 0 if the narrow last strip follows. */
  readonly last: Int;
}

/** Writes code that computes rows of tiles first .. end. */
function multiply(f: Func, p: Product, part: Part, at: Operands, strips: Strips, first: Int, end: Int): void {
  const { M, N, K, transA } = p;
  const { k, columns } = part;
  const { count, rows, extra } = tilesOf(part.rows.size);
  const { full, rest } = stripsOf(columns);
  const b = stepsOfB(p, part, strips.packed);
  // Distances between values of a; a packed tile lies k by k.
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

/** One matrix of the batch a block. */
function whole(p: Product): Simd {
  const { batch, M, N, K } = p;
  const packed = p.transB || M > 2 * ROWS;
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

/** Packing and multiplication in phases of many blocks. */
function shared(p: Product): Simd {
  const { batch, M, N, K, transA } = p;
  const allK = rangesOf(K, MOST_K, 4);
  const most = PACKED / allK[0].size;
  const allColumns = rangesOf(N, most, COLUMNS);
  const allRows = rangesOf(M, transA ? most : M, 1);
  const phases = Array.from(
    { length: batch },
    (_, matrix) =>
      allColumns.flatMap((columns) =>
        allK.flatMap((k) =>
          allRows.flatMap((rows) => {
            const part = { rows, columns, k };
            const kinds = [
              // All rows use the same strips of b.
              ...(rows.first === 0 ? [packs(p, part, matrix, 1)] : []),
              ...(transA ? [packs(p, part, matrix, 0)] : []),
            ];
            return [phaseOf(`${labelOf(p)} pack`, kinds), multiplyPhase(p, part, matrix)];
          })
        )
      ),
  ).flat();
  const largest = { rows: allRows[0], columns: allColumns[0], k: allK[0] };
  const packers = [packerOfB(p, largest), ...(transA ? [packerOfA(p, largest)] : [])];
  return { phases, scratch: packers.map(({ size }) => size) };
}

/** Blocks of one kind, of several that a phase has; `kernel` gets the index among these. */
type Blocks = Pick<Phase, "blocks" | "kernel">;

/** A phase with blocks of several kinds, one after the other. */
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

/** Blocks that pack a (0) or b (1) into scratch buffer 1 or 0. */
function packs(p: Product, part: Part, matrix: number, input: 0 | 1): Blocks {
  const { blocks, write } = input ? packerOfB(p, part) : packerOfA(p, part);
  return {
    blocks,
    kernel(f, block, at) {
      const { a, b } = operandsOf(f, p, part, at, matrix);
      write(f, input ? b : a, at.scratch[1 - input], block);
    },
  };
}

function multiplyPhase(p: Product, part: Part, matrix: number): Phase {
  const tiles = tilesOf(part.rows.size).count;
  const { full, all } = stripsOf(part.columns);
  // Blocks of a group of strips follow each other, so that a thread finds these in its cache.
  const perGroup = rangesOf(all, CACHED / (COLUMNS * part.k.size), 1)[0].size;
  const groups = Math.ceil(all / perGroup);
  const work = ROWS * COLUMNS * part.k.size * perGroup;
  const perBlock = rangesOf(tiles, Math.round(BLOCK / work), 1)[0].size;
  const rows = Math.ceil(tiles / perBlock);
  return {
    label: labelOf(p),
    blocks: groups * rows,
    kernel(f, block, at) {
      const o = operandsOf(f, p, part, at, matrix);
      const [group, row] = divided(f, block, groups === 1 ? undefined : rows);
      const first = f.let(i32.mul(group, perGroup));
      const t = f.let(i32.mul(row, perBlock));
      multiply(
        f,
        p,
        part,
        o,
        {
          a: at.scratch[1],
          b: at.scratch[0],
          packed: true,
          first,
          count: f.let(smaller(i32.sub(full, first), perGroup)),
          last: i32.eq(group, groups - 1),
        },
        t,
        f.let(smaller(i32.add(t, perBlock), tiles)),
      );
    },
  };
}

/** The product's phases. */
export function matmulSimd({ inputs, attrs, needed }: Call<MatmulAttrs>): Simd {
  const p: Product = {
    ...matmulSizes(inputs, attrs),
    ...attrs,
    savesPre: attrs.activation !== undefined && needed[1],
  };
  const { batch, M, N, K, transA, transB } = p;
  if (M <= DOT_ROWS && transB && !transA) return dots(p);
  const work = M * N * K;
  const small = batch > 1 ? work <= SMALL_OF_BATCH && N * K <= SMALL : work <= SMALL;
  return small ? whole(p) : shared(p);
}
