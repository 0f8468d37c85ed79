import { elementwise, sumAll, sumRows, sumSquares } from "../../kernels/elementwise/op.ts";
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import * as e from "../../kernels/expression/expression.ts";
import type { RandomStream } from "../../src/base/random.ts";
import { between, type Case, checkGradient, checkKernel, randomInput } from "./harness.ts";
import type { Tensor } from "../../src/graph/tensor.ts";

const [a, b, c] = ["a", "b", "c"].map(e.variable);
const EVERYTHING = e.plus(
  e.times(e.tanh(a), e.sigmoid(b)),
  e.select(
    e.less(a, b),
    e.exp(e.min(a, 1)),
    e.over(e.sqrt(e.plus(1, e.times(b, b))), e.plus(2, e.absolute(c))),
  ),
);

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

Deno.test("elementwise() of mixed operands equals float64 on WebGPU", () =>
  checkKernel("elementwise", mixed));
Deno.test("an expression's derivative equals central differences", () => checkGradient("elementwise", mixed));
for (const name of Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[]) {
  Deno.test(`${name} equals float64 on WebGPU`, () => checkKernel(name, activation(name)));
  Deno.test(`${name}'s derivative equals central differences`, () => checkGradient(name, activation(name)));
}
// A sum that cancels is compared with its terms' size by the harness's norm over all columns; 1e-5 holds with room.
Deno.test("sums of rows, of everything and of squares equal float64 on WebGPU", () =>
  checkKernel("sums", sums, { tolerance: 2e-5 }));
Deno.test("gradients of sums equal central differences", () => checkGradient("sums", sums, { count: 20 }));
