import { elementwise, sumAll, sumRows, sumSquares } from "../../kernels/elementwise/op.ts";
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import * as e from "../../kernels/expression/expression.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { between, type Case, checkGradient, checkKernel, randomInput } from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";

const [a, b, c] = ["a", "b", "c"].map(e.variable);
const EVERYTHING = e.plus(
  e.times(e.tanh(a), e.sigmoid(b)),
  e.select(
    e.less(a, b),
    e.exp(e.min(a, 1)),
    e.over(e.sqrt(e.plus(1, e.times(b, b))), e.plus(2, e.absolute(c))),
  ),
);

const WIDE = e.plus(EVERYTHING, e.max(e.variable("d"), a));

/** a full tensor, one row and a single number through one expression */
function mixed(rng: RandomStream): Case & { wrt: Record<string, Tensor> } {
  const [rows, columns] = [between(rng, 1, 37), between(rng, 2, 67)];
  const feeds = {};
  const wrt = {
    a: randomInput(rng, feeds, "a", [rows, columns]),
    b: randomInput(rng, feeds, "b", [columns]),
    c: randomInput(rng, feeds, "c", [1]),
  };
  return { feeds, wrt, label: `${rows}x${columns}`, outputs: { y: elementwise(EVERYTHING, wrt) } };
}

/** Two full tensors, a row and a number through an expression, and sums of columns and of everything, of any shape. */
function shaped(rows: number, columns: number): Case {
  const rng = randomStream(rows, `${columns}`);
  const feeds: Record<string, Values> = {};
  const [a, d] = ["a", "d"].map((name) => randomInput(rng, feeds, name, [rows, columns]));
  const [b, c] = [randomInput(rng, feeds, "b", [columns]), randomInput(rng, feeds, "c", [1])];
  const y = elementwise(WIDE, { a, b, c, d });
  const outputs = { y, rows: sumRows(a), all: sumAll(a), squares: sumSquares(d) };
  return { feeds, outputs, label: `${rows}x${columns}` };
}

/** Shapes with every remainder by four of sizes and rows. */
const ODD_SHAPES = [
  [1, 1],
  [1, 2],
  [2, 1],
  [1, 3],
  [3, 2],
  [2, 3],
  [5, 5],
  [7, 6],
  [3, 7],
  [8, 4],
  [130, 63],
  [9001, 1],
];

function activation(name: keyof typeof ACTIVATIONS) {
  return (rng: RandomStream): Case & { wrt: Record<string, Tensor> } => {
    const feeds = {};
    const x = randomInput(rng, feeds, "x", [between(rng, 1, 300)], 3);
    return { feeds, wrt: { x }, outputs: { y: elementwise(ACTIVATIONS[name], { x }) } };
  };
}

function sums(rng: RandomStream): Case & { wrt: Record<string, Tensor> } {
  const feeds = {};
  const [rows, columns] = [between(rng, 1, 700), between(rng, 1, 90)];
  const x = randomInput(rng, feeds, "x", [rows, columns]);
  return {
    feeds,
    wrt: { x },
    outputs: { rows: sumRows(x), all: sumAll(x), squares: sumSquares(x) },
    label: `${rows}x${columns}`,
  };
}

Deno.test("elementwise() of mixed operands equals float64 on every device", () =>
  checkKernel("elementwise", mixed));
Deno.test("elementwise() and sums of thin and odd shapes equal float64 on every device", async () => {
  for (const [rows, columns] of ODD_SHAPES) {
    // Sums may cancel: compared with numbers of size 1.
    await checkKernel("shapes", () => shaped(rows, columns), { count: 1, floor: 1 });
  }
});
Deno.test("elementwise() and sums are the same bytes for any number of threads", async () => {
  for (const columns of [64, 63, 1]) {
    await checkThreads(shaped(30_000 / columns | 0, columns), ["elementwise", "reduce"]);
  }
});
Deno.test("elementwise() and sums are not finite where the reference device's are not", async () => {
  for (const shape of [[6, 4], [3, 7], [13, 1]]) await checkNonFinite(shaped(shape[0], shape[1]));
});
Deno.test("an expression's derivative equals central differences", () => checkGradient("elementwise", mixed));
for (const name of Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[]) {
  Deno.test(`${name} equals float64 on every device`, () => checkKernel(name, activation(name)));
  Deno.test(`${name}'s derivative equals central differences`, () => checkGradient(name, activation(name)));
}
// A sum that cancels is compared with its terms' size by the harness's norm over all columns; 1e-5 holds with room.
Deno.test("sums of rows, of everything and of squares equal float64 on every device", () =>
  checkKernel("sums", sums, { tolerance: 2e-5 }));
Deno.test("gradients of sums equal central differences", () => checkGradient("sums", sums, { count: 20 }));
