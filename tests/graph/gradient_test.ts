// Differentiation of graphs: accumulation, leaves and errors. The operations' gradients are tested with the kernels.
import assert from "node:assert/strict";
import { add, multiply, scale, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { ancestors, gradients } from "../../src/graph/gradient.ts";
import { constant, input, state, view } from "../../src/graph/structure.ts";
import { apply, type Floats, type Op, scope, type Tensor, type Values } from "../../src/graph/tensor.ts";
import { evaluate } from "../kernels/harness.ts";

async function numbers(
  outputs: Record<string, Tensor>,
  feeds: Record<string, Values> = {},
): Promise<Record<string, number[]>> {
  using oracle = referenceDevice({ precision: "f64" });
  const results = await evaluate(oracle, { feeds, outputs });
  return Object.fromEntries(Object.entries(results).map(([name, values]) => [name, Array.from(values)]));
}

Deno.test("the uses of a tensor add up: d/dx of sum(x x + 3 x + x) is 2 x + 4", async () => {
  const x = input("x", [3]);
  const [dx] = grad(sumAll(add(add(multiply(x, x), scale(x, 3)), x)), [x]);
  assert.deepEqual(await numbers({ dx }, { x: Float64Array.of(1, -2, 0.5) }), { dx: [6, 0, 5] });
});

Deno.test("both paths of a diamond count: d/dx of (a b) with a = 2 x, b = x x is 6 x^2", async () => {
  const x = input("x", [2]);
  const [dx] = grad(sumAll(multiply(scale(x, 2), multiply(x, x))), [x]);
  assert.deepEqual(await numbers({ dx }, { x: Float64Array.of(1, 3) }), { dx: [6, 54] });
});

Deno.test("a leaf that is a view of a state gets the gradient of its part, in the view's shape", async () => {
  const parameters = state("parameters", [192]);
  const [w, b] = [view(parameters, [2, 3], 64), view(parameters, [3], 128)];
  const [dw, db] = grad(sumAll(multiply(w, add(w, b))), [w, b]);
  assert.deepEqual([dw.shape, db.shape], [[2, 3], [3]]);
  using oracle = referenceDevice({ precision: "f64" });
  oracle.define("parameters", parameters, Float64Array.from({ length: 192 }, (_, i) => i));
  const results = await evaluate(oracle, { feeds: {}, outputs: { dw, db } });
  // w = 64..69, b = 128..130: dw = 2 w + b, db = the column sums of w.
  assert.deepEqual(Array.from(results.dw), [256, 259, 262, 262, 265, 268]);
  assert.deepEqual(Array.from(results.db), [131, 133, 135]);
});

Deno.test("a tensor of wrt is a leaf: no gradient flows through it to its inputs", async () => {
  const x = input("x", [2]);
  const y = multiply(x, x);
  const [dx, dy] = grad(sumAll(add(scale(y, 5), x)), [x, y]);
  assert.deepEqual(await numbers({ dx, dy }, { x: Float64Array.of(3, 4) }), { dx: [1, 1], dy: [5, 5] });
});

Deno.test("the seed multiplies every gradient", async () => {
  const x = input("x", [2]);
  const [dx] = grad(sumAll(multiply(x, x)), [x], 0.25);
  assert.deepEqual(await numbers({ dx }, { x: Float64Array.of(2, 6) }), { dx: [1, 3] });
});

Deno.test("a loss that does not depend on a tensor: gradients() gives undefined, grad() throws and names it", () => {
  const [x, z] = [input("x", [2]), input("z", [2])];
  multiply(x, z);
  const loss = sumAll(multiply(x, x));
  assert.equal(gradients(loss, [z], { seed: constant(1), add })(z), undefined);
  assert.throws(() => grad(loss, [x, z]), /does not depend on tensor 1 of wrt/);
});

const opaque: Op<undefined> = {
  name: "opaque",
  infer: ([x]) => [x],
  lower: () => ({ dispatches: [] }),
  cpu: () => {},
};

Deno.test("an operation without a gradient is an error with its path, but only if a gradient has to flow through it", () => {
  const [x, z] = [input("x", [2]), input("z", [2])];
  const y = scope("blocks.0.mlp", () => apply(opaque, [x], undefined)[0]);
  const loss = sumAll(multiply(y, z));
  assert.throws(() => grad(loss, [x]), /opaque at blocks\.0\.mlp has no gradient/);
  assert.deepEqual(grad(loss, [z])[0].shape, [2]);
});

/** 2 x (+ addend): an operation that can fuse an addition, also in its gradient. */
const twice: Op<undefined> = {
  name: "twice",
  infer: ([x]) => [x],
  lower: () => ({ dispatches: [] }),
  cpu([x, addend], [y]) {
    for (let i = 0; i < y.length; i++) (y as Floats)[i] = 2 * x[i] + (addend?.[i] ?? 0);
  },
  vjp: (_, [g]) => [apply(twice, [g!], undefined)[0]],
  fuseAdd: (node, addend) =>
    node.inputs.length > 1 ? undefined : apply(twice, [node.inputs[0], addend], undefined)[0],
};

Deno.test("two gradients are summed by the kernel that computes one of them, if it can", async () => {
  const x = input("x", [2]);
  const loss = sumAll(add(scale(x, 3), apply(twice, [x], undefined)[0]));
  const [dx] = grad(loss, [x]);
  assert.equal(dx.node.op.name, "twice");
  assert.equal(dx.node.inputs.length, 2);
  assert.deepEqual(await numbers({ dx }, { x: Float64Array.of(1, 5) }), { dx: [5, 5] });
});

Deno.test("ancestors() gives each node once, inputs before uses, and only nodes that the roots depend on", () => {
  const x = input("x", [2]);
  const y = multiply(x, x);
  const unused = scale(y, 3);
  const z = add(y, x);
  assert.deepEqual(ancestors([z, y]), [x.node, y.node, z.node]);
  assert.ok(!ancestors([z]).includes(unused.node));
});
