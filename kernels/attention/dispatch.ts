// Builds the dispatches of the attention kernels: schedules, constants, and the code generated from expressions.
import { type Dispatch, type Ref, type Target, wgslFloat, workgroups1d } from "../../src/graph/tensor.ts";
import { derivative, type Expression, type Lookup, replace } from "../expression/expression.ts";
import { toWgsl, toWgslCondition, toWgslIndex, WGSL_FUNCTIONS } from "../expression/wgsl.ts";
import threefryWgsl from "../random/threefry.wgsl" with { type: "text" };
import { type ActivationKernel, kernelOf } from "./activation.ts";
import commonWgsl from "./common.wgsl" with { type: "text" };
import elementwiseWgsl from "./elementwise.wgsl" with { type: "text" };
import keyScoresWgsl from "./key_scores.wgsl" with { type: "text" };
import keyTileWgsl from "./key_tile.wgsl" with { type: "text" };
import mainWgsl from "./main.wgsl" with { type: "text" };
import pairWgsl from "./pair.wgsl" with { type: "text" };
import queriesWgsl from "./queries.wgsl" with { type: "text" };
import rowGradientsWgsl from "./row_gradients.wgsl" with { type: "text" };
import scoresWgsl from "./scores.wgsl" with { type: "text" };
import { ACTIVATIONS, ATTENTION_CHOICES } from "./activations.ts";
import {
  type AttentionAttrs,
  type AttentionSizes,
  BLOCK,
  extrasOf,
  hasRowTerm,
  isExact,
  keepsInner,
  modifies,
  queryOffset,
} from "./sizes.ts";
import { tableSlopes } from "./tables.ts";
import weightGradientsWgsl from "./weight_gradients.wgsl" with { type: "text" };

/** WGSL fragments that the kernels insert. */
const FRAGMENTS = {
  COMMON: commonWgsl,
  PAIR: pairWgsl,
  MAIN: mainWgsl,
  QUERIES: queriesWgsl,
  ROW_GRADIENTS: rowGradientsWgsl,
  KEY_TILE: keyTileWgsl,
  SCORES: scoresWgsl,
  KEY_SCORES: keyScoresWgsl,
  WEIGHT_GRADIENTS: weightGradientsWgsl,
};

const ELEMENTWISE = kernelOf(elementwiseWgsl);

/** Binding number of the first extra input (see `extrasOf`). */
const FIRST_EXTRA = 10;

/** Describes an attention kernel to `attentionDispatch`. */
export interface Kernel {
  readonly label: string;
  readonly source: string;
  readonly bindings: Readonly<Record<number, Ref | undefined>>;
  /** Number of float32 values per row, keyed by the NAME of each buffer that `load_NAME` reads (see `loadFunctions`). */
  readonly loads: Readonly<Record<string, number>>;
  /** Number of rows per head. The rows are distributed over invocations. */
  readonly length: number;
  /** Number of heads in the batch: B H or B HKV. */
  readonly heads: number;
  /** Number of float32 values that an invocation keeps in registers per row. */
  readonly valuesPerRow: number;
  /** Maximum number of rows per invocation if `valuesPerRow` is at most 64; for larger values it is reduced proportionally. */
  readonly maxRows: number;
  /**
   * `count` is the number of iterations of an invocation's loop over keys (or over queries, if the rows are keys). `of` names the
   * sizes that determine this number, for error messages.
   */
  readonly iterations: { readonly count: number; readonly of: string };
  /** Number of inputs of the operation that precede its extra inputs. */
  readonly inputs: number;
}

/**
 * Returns the fields that kernels whose rows are queries have in common: the number of query rows, the number of heads, and the
 * maximum number of keys that each row loops over.
 */
export function overQueries(
  { B, T, S, H }: AttentionSizes,
  { causal, window, symmetric }: AttentionAttrs,
): Pick<Kernel, "length" | "heads" | "iterations"> {
  const limit = window > 0 && (causal || symmetric) ? 2 * window + 2 * BLOCK : S;
  return { length: T, heads: B * H, iterations: { count: Math.min(S, limit), of: `S = ${S}` } };
}

/**
 * Returns the fields of a backward kernel that describe its inputs. They are bound in this order, starting at binding `first`: q,
 * k, v, dz and, where they exist, the row terms and `last` (inner values or delta).
 */
export function gradientInputs(
  { D, DV }: AttentionSizes,
  attrs: AttentionAttrs,
  first: number,
  last: "inner" | "delta",
): Pick<Kernel, "bindings" | "loads" | "inputs"> {
  const inputs = 4 + Number(hasRowTerm(attrs)) + Number(isExact(attrs));
  const bound = Array.from({ length: inputs }, (_, n): [number, Ref] => [first + n, ["input", n]]);
  const loads = { q: D, k: D, v: DV, dz: DV, ...(last === "inner" && isExact(attrs) ? { inner: DV } : {}) };
  return { bindings: Object.fromEntries(bound), loads, inputs };
}

/**
 * Returns the WGSL functions `load_NAME(at, e)`. Each of them returns the e-th vec4f of the row of `size` values that starts at
 * offset `at`; values past the end of the row are 0. If `size` is a multiple of 4, the type `NAME_item` of the buffer's items is
 * vec4f, which a software adapter loads twice as fast as single values.
 */
function loadFunctions(buffers: Readonly<Record<string, number>>): string {
  return Object.entries(buffers).map(([name, size]) => {
    if (size % 4 === 0) {
      return `alias ${name}_item = vec4f;\nfn load_${name}(at: u32, e: u32) -> vec4f { return ${name}[at / 4u + e]; }`;
    }
    const item = (c: number) => `select(0f, ${name}[i + ${c}u], 4u * e + ${c}u < ${size}u)`;
    const four = `vec4f(${[0, 1, 2, 3].map(item).join(", ")})`;
    return `alias ${name}_item = f32;\nfn load_${name}(at: u32, e: u32) -> vec4f { let i = at + 4u * e; return ${four}; }`;
  }).join("\n");
}

/** Prefixes the names of tables, because they could clash with other names in the kernels. */
export function inKernel(e: Expression): Expression {
  return replace(e, (x) => {
    if (x.kind !== "lookup") return undefined;
    return { ...x, table: `table_${x.table}`, indices: x.indices.map(inKernel) };
  });
}

/** Variables that are never NaN, because they are integers: the indices of sample, head, query row and key. */
const INTEGERS = new Set(["b", "h", "i", "j"]);

const pairCode = (e: Expression): string => toWgsl(inKernel(e), INTEGERS);

/** Returns a WGSL expression of type bool for a mask. */
export const maskCode = (mask: Expression): string => toWgslCondition(inKernel(mask), INTEGERS);

/**
 * Returns the bindings of the extra inputs, which start at input `first`, and WGSL code that declares these inputs and defines
 * the functions that dropout and expressions call.
 */
export function extraBindings(
  attrs: AttentionAttrs,
  first: number,
): { bindings: Record<number, Ref>; code: string } {
  const names = extrasOf(attrs);
  const bindings = Object.fromEntries(
    names.map((_, i): [number, Ref] => [FIRST_EXTRA + i, ["input", first + i]]),
  );
  const declared = names.map((name, i) => {
    const type = name === "seed" || name === "blocks" ? "u32" : "f32";
    return `@group(0) @binding(${FIRST_EXTRA + i}) var<storage, read> ${name}: array<${type}>;`;
  });
  const random = attrs.dropout.p > 0 ? [threefryWgsl] : [];
  return { bindings, code: [...declared, ...random, WGSL_FUNCTIONS].join("\n") };
}

/** Returns the WGSL of the activation. */
export function kernelFor({ activation }: AttentionAttrs): ActivationKernel {
  const definition = ACTIVATIONS[activation];
  return definition.normalised ? definition.kernel : ELEMENTWISE;
}

/** Returns the WGSL of the activation and of the expressions, keyed by the names by which the kernels insert it. */
function expressionCode(attrs: AttentionAttrs): Record<string, string> {
  const definition = ACTIVATIONS[attrs.activation];
  const phi = definition.normalised ? undefined : definition.expression;
  const { WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END } = kernelFor(attrs);
  const mapping = ATTENTION_CHOICES.kvHead[attrs.kvHead].wgsl;
  return {
    SCORE: pairCode(attrs.score),
    MODIFIER_DERIVATIVE: pairCode(derivative(attrs.score, "score")),
    MASK: attrs.mask ? maskCode(attrs.mask) : "",
    WEIGHT,
    ROW_BEGIN,
    ROW_STEP,
    ROW_END,
    PHI: phi ? toWgsl(phi) : "",
    PHI_DERIVATIVE: phi ? toWgsl(derivative(phi, "score")) : "",
    KEY_HEAD: mapping.keyHead,
    HEAD: mapping.head,
    SCORE_GRADIENT: ATTENTION_CHOICES.backward[attrs.backward].wgsl,
    DIVISOR: ATTENTION_CHOICES.divide[attrs.divide].wgsl,
  };
}

/** Returns the constants of the kernels that do not depend on the schedule. */
export function attentionConstants(sizes: AttentionSizes, attrs: AttentionAttrs): Dispatch["constants"] {
  const { B, T, S, H, HKV, D, DV } = sizes;
  const { p, site } = attrs.dropout;
  const offset = queryOffset(sizes, attrs);
  const [blockB, blockH, queryBlocks, keyBlocks] = attrs.blocks ?? [1, 1, 1, 1];
  const definition = ACTIVATIONS[attrs.activation];
  return {
    BATCH: B,
    T,
    S,
    H,
    HKV,
    D,
    DV,
    D4: Math.ceil(D / 4),
    V4: Math.ceil(DV / 4),
    SCALE: wgslFloat(attrs.scale),
    CAUSAL: attrs.causal,
    WINDOW: attrs.window,
    SYMMETRIC: attrs.symmetric && attrs.window > 0,
    QUERY_OFFSET: Math.max(0, offset),
    KEY_OFFSET: Math.max(0, -offset),
    HAS_MASK: attrs.mask !== undefined,
    BLOCKS: attrs.blocks !== undefined,
    BLOCK,
    BLOCK_B: blockB,
    BLOCK_H: blockH,
    QUERY_BLOCKS: queryBlocks,
    KEY_BLOCKS: keyBlocks,
    MODIFIES: modifies(attrs),
    NORMALISED: definition.normalised,
    LOGISTIC: !definition.normalised && definition.logistic === true,
    KEEPS_INNER: keepsInner(attrs),
    ...kernelFor(attrs).constants,
    DIVIDES: attrs.divide !== "none",
    HAS_ROW: hasRowTerm(attrs),
    EXACT: isExact(attrs),
    DROPOUT: p > 0,
    SITE: site,
    DROP_BELOW: Math.floor(p * 2 ** 32),
    KEEP_SCALE: wgslFloat(1 / (1 - p)),
  };
}

/**
 * Returns the number of rows per invocation: at most `maxRows`, and fewer if `valuesPerRow` is more than 64. The rows of a head
 * (or of a tile, if there is a block mask) are divided evenly among invocations. On a hardware GPU, which has few registers, each
 * invocation computes one row.
 */
function rowsFor(target: Target, { valuesPerRow, maxRows, length }: Kernel, blocks: boolean): number {
  if (target.kind === "gpu") return 1;
  const limit = Math.max(1, Math.min(maxRows, Math.floor(64 * maxRows / valuesPerRow)));
  if (blocks) return [8, 4, 2].find((n) => n <= limit) ?? 1;
  return Math.ceil(length / Math.ceil(length / limit));
}

/**
 * Returns the dispatch of a kernel. On a hardware GPU, a workgroup shares tiles in workgroup memory; on a software adapter, an
 * invocation keeps several rows in registers instead.
 */
export function attentionDispatch(
  kernel: Kernel,
  sizes: AttentionSizes,
  attrs: AttentionAttrs,
  target: Target,
): Dispatch {
  const tiled = target.kind === "gpu";
  const rows = rowsFor(target, kernel, attrs.blocks !== undefined);
  const lanes = tiled ? 64 : 8;
  const tiles = Math.ceil(kernel.length / rows);
  const constants = attentionConstants(sizes, attrs);
  const [D4, V4] = [Number(constants.D4), Number(constants.V4)];
  // The length of a tile divides BLOCK. A tile of keys and values takes at most half of the workgroup memory that every device
  // has.
  const tile = tiled ? [32, 16, 8].find((n) => n * 16 * (D4 + V4) <= 8192) ?? 4 : BLOCK;
  const extra = extraBindings(attrs, kernel.inputs);
  return {
    label: kernel.label,
    source: kernel.source,
    constants: {
      ...constants,
      HEADS: kernel.heads,
      READS_V: "v" in kernel.loads,
      TILED: tiled,
      ROWS: rows,
      LANES: lanes,
      TILES: tiles,
      TILE: tile,
      TILE_K: tile * D4,
      TILE_V: tile * V4,
    },
    code: {
      ...FRAGMENTS,
      ...expressionCode(attrs),
      EXTRAS: `${extra.code}\n${loadFunctions(kernel.loads)}`,
    },
    bindings: { ...kernel.bindings, ...extra.bindings },
    iterations: {
      count: kernel.iterations.count + 2 * Math.ceil(kernel.iterations.count / tile),
      of: kernel.iterations.of,
    },
    workgroups: tiled
      ? [Math.ceil(tiles / lanes), kernel.heads, 1]
      : workgroups1d(tiles * kernel.heads, lanes),
  };
}

/**
 * Returns the WGSL function `add_slopes`, which adds ds * (d score / d entry) to the gradient of each learned-table entry that a
 * pair looks up.
 */
export function slopesCode(
  attrs: AttentionAttrs,
  learned: readonly string[],
  offsets: readonly number[],
): string {
  const lines = tableSlopes(attrs.score, learned).map(({ lookup, table, derivative }) => {
    const index = toWgslIndex(inKernel(lookup) as Lookup, INTEGERS);
    const sum = `partial[base + ${offsets[table]}u + at]`;
    const entry = `table_${lookup.table}[at]`;
    return `  { let at = ${index}; let entry = ${entry}; ${sum} += ds * (${pairCode(derivative)}); }`;
  });
  const parameters = "base: u32, ds: f32, score: f32, b: f32, h: f32, i: f32, j: f32";
  return [`fn add_slopes(${parameters}) {`, ...lines, "}"].join("\n");
}
