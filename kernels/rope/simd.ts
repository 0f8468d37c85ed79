// Rotary position embedding in WebAssembly: (a, b) becomes (a cos f - b sin f, a sin f + b cos f). At each position, the cos
// and sin of up to four pairs are loaded once and used for all heads.
import type { Addresses, Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { element, f32, f32x4, i32, lanes, load, v128 } from "../../src/wasm/mod.ts";
import type { Func, I32, Int } from "../../src/wasm/mod.ts";
import { eachPart, smaller } from "../simd/rows.ts";
import type { RopeAttrs } from "./attributes.ts";

/** Approximate number of elements per block. */
const ELEMENTS = 8192;

/** One position of the sequence: the address of its cos and sin (its turns), and a loop over its heads. */
interface Position {
  readonly f: Func;
  /** Address of the position's turns. */
  readonly turns: I32;
  /** Writes a loop over the heads; `body` gets the addresses in x and in y that are `byte` bytes from the start of a head. */
  readonly heads: (byte: Int, body: (x: I32, y: I32) => void) => void;
  readonly attrs: RopeAttrs;
}

/** Rotates x [B, T, H, d] by turns [T, rotaryDim]. */
export function ropeSimd({ inputs: [x], attrs }: Call<RopeAttrs>): Simd {
  const [B, T, H, D] = x.shape;
  const { rotaryDim: R, interleaved } = attrs;
  const perBlock = Math.max(1, Math.round(ELEMENTS / (H * D)));
  const kernel = (f: Func, block: I32, { inputs: [from, table], outputs: [to] }: Addresses): void => {
    const first = f.let(i32.mul(block, perBlock));
    f.loop(first, f.let(smaller(i32.add(first, perBlock), B * T)), 1, (position) => {
      const start = f.let(i32.mul(position, 4 * H * D));
      const end = f.let(i32.add(start, 4 * H * D));
      const turns = f.let(element(table, i32.mul(i32.remU(position, T), R)));
      const heads: Position["heads"] = (byte, body) =>
        f.loop(i32.add(start, byte), end, 4 * D, (head) => body(i32.add(from, head), i32.add(to, head)));
      const at = { f, turns, heads, attrs };
      if (interleaved) rotateNeighbours(at);
      else rotateHalves(at);
      if (R < D) {
        heads(
          4 * R,
          (x, y) =>
            eachPart(
              f,
              D - R,
              (i, offset, part) => part.store(f, i32.add(y, i), load("v128", i32.add(x, i), offset), offset),
            ),
        );
      }
    });
  };
  return { phases: [{ label: "rope", blocks: Math.ceil(B * T / perBlock), kernel }] };
}

/** Rotates pairs of dimensions 2i and 2i + 1. A vector holds two pairs. */
function rotateNeighbours(at: Position): void {
  const { f, turns, heads, attrs: { rotaryDim: R, back } } = at;
  const [minus, plus] = back ? [0, 0x80000000] : [0x80000000, 0];
  const pairs = R >> 1;
  f.loop(0, 16 * (pairs >> 1), 16, (byte) => {
    const both = f.let(load("v128", i32.add(turns, byte)));
    const cos = f.let(v128.shuffle(both, both, [0, 0, 2, 2]));
    const sin = f.let(v128.xor(v128.shuffle(both, both, [1, 1, 3, 3]), lanes([minus, plus, minus, plus])));
    heads(byte, (x, y) => {
      const v = f.let(load("v128", x));
      f.store(y, f32x4.madd(v128.shuffle(v, v, [1, 0, 3, 2]), sin, f32x4.mul(v, cos)));
    });
  });
  if (pairs % 2) rotatePair(at, pairs - 1);
}

/** Rotates pairs of dimensions i and i + rotaryDim / 2, four pairs at once. */
function rotateHalves(at: Position): void {
  const { f, turns, heads, attrs: { rotaryDim: R, back } } = at;
  const pairs = R >> 1;
  f.loop(0, 16 * (pairs >> 2), 16, (byte) => {
    const here = f.let(i32.add(turns, i32.shl(byte, 1)));
    const [low, high] = [0, 16].map((offset) => f.let(load("v128", here, offset)));
    const cos = f.let(v128.shuffle(low, high, [0, 2, 4, 6]));
    const turn = v128.shuffle(low, high, [1, 3, 5, 7]);
    const sin = f.let(back ? f32x4.neg(turn) : turn);
    heads(byte, (x, y) => {
      const [a, b] = [0, 4 * pairs].map((offset) => f.let(load("v128", x, offset)));
      f.store(y, f32x4.nmadd(b, sin, f32x4.mul(a, cos)));
      f.store(y, f32x4.madd(a, sin, f32x4.mul(b, cos)), 4 * pairs);
    });
  });
  for (let pair = pairs & ~3; pair < pairs; pair++) rotatePair(at, pair);
}

/** Rotates one pair. */
function rotatePair(
  { f, turns, heads, attrs: { rotaryDim: R, interleaved, back } }: Position,
  pair: number,
): void {
  const [first, second] = interleaved ? [8 * pair, 8 * pair + 4] : [4 * pair, 4 * pair + 2 * R];
  const cos = f.let(load("f32", turns, 8 * pair));
  const turn = load("f32", turns, 8 * pair + 4);
  const sin = f.let(back ? f32.neg(turn) : turn);
  heads(0, (x, y) => {
    const [a, b] = [first, second].map((offset) => f.let(load("f32", x, offset)));
    f.store(y, f32.sub(f32.mul(a, cos), f32.mul(b, sin)), first);
    f.store(y, f32.add(f32.mul(a, sin), f32.mul(b, cos)), second);
  });
}
