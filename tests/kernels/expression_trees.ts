// Random expressions, special numbers, and their agreement on the devices: float64, float32, WebGPU under both schedules and
// WebAssembly. Many trees are compiled into one kernel, because compilation dominates the time.
import { erf } from "../../kernels/expression/erf.ts";
import * as e from "../../kernels/expression/expression.ts";
import { toWasm } from "../../kernels/expression/wasm.ts";
import { toWgsl, WGSL_FUNCTIONS } from "../../kernels/expression/wgsl.ts";
import { gather } from "../../kernels/simd/vectors.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import { apply, type Floats, type Op, workgroups1d } from "../../src/graph/tensor.ts";
import { element, i32, i32x4, lanes } from "../../src/wasm/mod.ts";
import { encloses, type Enclosure, enclosureOf, isSharp } from "./enclosure.ts";
import { kernelDevices, nameOf } from "./harness.ts";

type Expression = e.Expression;

const UNARY: readonly e.Unary[] = ["neg", "exp", "log", "tanh", "sigmoid", "sqrt", "abs", "floor", "erf"];
const BINARY: readonly e.Binary[] = ["+", "-", "*", "/", "min", "max", "<", "<=", "=="];
const VARIABLES = ["x", "y", "z"];
const SHAPE = [3, 5];
/** Special values, for a fifth of the inputs, constants and table entries. */
const SPECIALS = [NaN, Infinity, -Infinity, 0, -0, 1e30, -1e30, 2 ** -126, -(2 ** -126)].map(Math.fround);
const ROWS = 32;

function numberOf(rng: RandomStream): number {
  if (rng.below(5) === 0) return SPECIALS[rng.below(SPECIALS.length)];
  return Math.fround(rng.below(2) ? rng.below(9) - 4 : 2 * rng.normal());
}

/** A random tree without folding; `count` is called with every function in it. */
export function treeOf(rng: RandomStream, depth: number, count: (f: string) => void): Expression {
  if (depth === 0) {
    return rng.below(4) === 0
      ? { kind: "number", value: numberOf(rng) }
      : { kind: "variable", name: VARIABLES[rng.below(3)] };
  }
  // One branch has the full depth, so that the tree has exactly this depth.
  const deep = () => treeOf(rng, depth - 1, count);
  const other = () => treeOf(rng, rng.below(depth), count);
  const kind = rng.below(11);
  if (kind < 4) {
    const f = UNARY[rng.below(UNARY.length)];
    count(f);
    return { kind: "unary", f, x: deep() };
  }
  if (kind < 9) {
    const f = BINARY[rng.below(BINARY.length)];
    count(f);
    const parts = rng.below(2) ? [deep(), other()] : [other(), deep()];
    return { kind: "binary", f, a: parts[0], b: parts[1] };
  }
  if (kind === 9) {
    count("select");
    const parts = [deep(), other(), other()];
    const at = rng.below(3);
    return { kind: "select", if: parts[at], then: parts[(at + 1) % 3], else: parts[(at + 2) % 3] };
  }
  count("lookup");
  return { kind: "lookup", table: "table", shape: SHAPE, indices: [other(), deep()] };
}

const UNARY_OF: Record<e.Unary, (x: Expression) => Expression> = {
  neg: e.negative,
  exp: e.exp,
  log: e.log,
  tanh: e.tanh,
  sigmoid: e.sigmoid,
  sqrt: e.sqrt,
  abs: e.absolute,
  floor: e.floor,
  erf: e.errorFunction,
};
const BINARY_OF: Record<e.Binary, (a: Expression, b: Expression) => Expression> = {
  "+": e.plus,
  "-": e.minus,
  "*": e.times,
  "/": e.over,
  min: e.min,
  max: e.max,
  "<": e.less,
  "<=": e.atMost,
  "==": e.equal,
};

/** The tree by the public builders, which fold it. */
export function built(x: Expression): Expression {
  switch (x.kind) {
    case "unary":
      return UNARY_OF[x.f](built(x.x));
    case "binary":
      return BINARY_OF[x.f](built(x.a), built(x.b));
    case "select":
      return e.select(built(x.if), built(x.then), built(x.else));
    case "lookup":
      return e.lookup(x.table, x.shape, ...x.indices.map(built));
    default:
      return x;
  }
}

/** y[n, i] = expression n of row i of x [ROWS, 3] and a table: every expression of a batch in one kernel. */
const treesOp: Op<{ readonly expressions: readonly Expression[] }> = {
  name: "trees",
  infer: (_, { expressions }) => [{ shape: [expressions.length, ROWS], dtype: "f32" }],
  lower: ({ attrs: { expressions } }) => ({
    dispatches: [{
      label: "trees",
      source: `//! insert FUNCTIONS
@group(0) @binding(0) var<storage, read_write> result: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
//! insert EACH
@compute @workgroup_size(${ROWS})
fn main(@builtin(local_invocation_index) i: u32, @builtin(num_workgroups) groups: vec3u) {
  unknown_zero = select(0u, 0xffffffffu, groups.x == 0u);
  let x = rows[3u * i];
  let y = rows[3u * i + 1u];
  let z = rows[3u * i + 2u];
//! insert CALLS
}`,
      constants: {},
      code: {
        FUNCTIONS: WGSL_FUNCTIONS,
        EACH: expressions.map((tree, n) =>
          `fn tree${n}(x: f32, y: f32, z: f32) -> f32 { return ${toWgsl(tree)}; }`
        ).join("\n"),
        CALLS: expressions.map((_, n) => `  result[${n * ROWS}u + i] = tree${n}(x, y, z);`).join("\n"),
      },
      bindings: { 0: ["output", 0], 1: ["input", 0], 2: ["input", 1] },
      workgroups: workgroups1d(ROWS, ROWS),
    }],
  }),
  simd: ({ attrs: { expressions } }) => ({
    phases: expressions.map((tree, n) => ({
      label: `tree ${n}`,
      blocks: ROWS / 4,
      kernel(f, block, { inputs: [rows, table], outputs: [y] }) {
        const first = i32x4.mul(i32x4.add(i32x4.splat(i32.mul(block, 4)), lanes([0, 1, 2, 3])), 3);
        const variables = Object.fromEntries(
          VARIABLES.map((name, k) => [name, gather(rows, f.let(i32x4.add(first, k)))]),
        );
        const value = toWasm(tree, f, variables, { table: (index) => gather(table, index) });
        f.store(element(y, block, 16), value, 4 * ROWS * n);
      },
    })),
  }),
  cpu([rows, table], [out], { attrs: { expressions } }) {
    expressions.forEach((tree, n) => {
      const f = e.toFunction(tree, [...VARIABLES, "table"]);
      for (let i = 0; i < ROWS; i++) {
        (out as Floats)[n * ROWS + i] = f(rows[3 * i], rows[3 * i + 1], rows[3 * i + 2], table);
      }
    });
  },
};

/** Results of the devices on random trees. */
export interface Agreement {
  readonly trees: number;
  readonly values: number;
  /** Values whose enclosure is sharp: see `isSharp`. */
  readonly sharp: number;
  readonly specials: number;
  /** How often each function occurs in the trees. */
  readonly functions: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

interface Drawn {
  /** The tree for interval evaluation. */
  readonly written: Expression;
  /** The tree for the devices. */
  readonly given: Expression;
}

function drawn(rng: RandomStream, count: number, hear: (f: string) => void): Drawn[] {
  return Array.from({ length: count }, (_, n) => {
    const written = treeOf(rng, 1 + rng.below(6), hear);
    const given = built(written);
    if (n % 8 !== 7) return { written, given };
    // A derivative is a tree too; its correctness is checked by central differences elsewhere.
    const slope = e.derivative(given, "x");
    return { written: slope, given: slope };
  });
}

/**
 * Draws `count` trees of depth 1 to 6, every eighth of them a derivative, and evaluates each at 32 rows of inputs, a fifth of them special. Devices
 * agree if each result is in the enclosure of the tree (enclosure.ts): NaN where the tree is certainly NaN, a number where it
 * cannot be NaN, and correct to rounding; where rounding may flip a comparison or overflow, both outcomes are allowed.
 */
export async function agreementOf(
  count: number,
  seed: number,
  { batch = 40, progress = (_: number): unknown => undefined } = {},
): Promise<Agreement> {
  using f64 = referenceDevice({ precision: "f64" });
  using f32 = referenceDevice();
  const devices = [
    ["float64", f64],
    ["float32", f32],
    ...(await kernelDevices()).map((d) => [nameOf(d), d]),
  ] as [
    string,
    typeof f64,
  ][];
  const functions: Record<string, number> = {};
  const failures: string[] = [];
  let [values, sharp, specials] = [0, 0, 0];
  for (let first = 0; first < count; first += batch) {
    const rng = randomStream(seed, `trees ${first}`);
    const trees = drawn(rng, Math.min(batch, count - first), (f) => functions[f] = (functions[f] ?? 0) + 1);
    const rows = Float32Array.from({ length: 3 * ROWS }, () => numberOf(rng));
    const table = Float32Array.from({ length: 15 }, () => numberOf(rng));
    specials += rows.filter((x) => SPECIALS.some((special) => Object.is(special, x))).length;
    const [out] = apply(treesOp, [input("rows", [ROWS, 3]), input("table", SHAPE)], {
      expressions: trees.map(({ given }) => given),
    });
    const results: [string, ArrayLike<number>][] = [];
    for (const [name, device] of devices) {
      using program = await device.compile({ outputs: { out } });
      program.run({ rows, table });
      results.push([name, (await program.read(["out"]))[0]]);
    }
    trees.forEach(({ written, given }, n) => {
      for (let i = 0; i < ROWS; i++) {
        const variables = Object.fromEntries(VARIABLES.map((name, k) => [name, rows[3 * i + k]]));
        const allowed = enclosureOf(written, { variables, tables: { table }, erf });
        values++;
        if (isSharp(allowed)) sharp++;
        const wrong = results.filter(([, results]) => !encloses(allowed, results[n * ROWS + i]));
        if (wrong.length) {
          failures.push(
            describe(
              first + n,
              given,
              variables,
              allowed,
              results.map(([name, y]) => `${name} ${y[n * ROWS + i]}`),
            ),
          );
        }
      }
    });
    progress(first + trees.length);
  }
  return {
    trees: count,
    values,
    sharp,
    specials: specials / (3 * ROWS * Math.ceil(count / batch)),
    functions,
    failures,
  };
}

function describe(
  tree: number,
  given: Expression,
  variables: Readonly<Record<string, number>>,
  { low, high, number, nan }: Enclosure,
  results: readonly string[],
): string {
  const at = Object.entries(variables).map(([name, x]) => `${name} = ${x}`).join(", ");
  const allowed = [number ? `${low} to ${high}` : "", nan ? "NaN" : ""].filter(Boolean).join(" or ");
  return `tree ${tree} at ${at}: ${results.join(", ")}; allowed ${allowed}: ${toWgsl(given)}`;
}
