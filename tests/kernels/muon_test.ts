// Muon's direction: Newton-Schulz against plain loops, alone and in stacks.
import assert from "node:assert/strict";
import { muon, orthogonalised } from "../../kernels/optimizers/muon.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import { sizeOf } from "../../src/graph/tensor.ts";
import { between, checkKernel, randomInput, relativeError } from "./harness.ts";
import { onDevices, randomSteps, runSteps, type Tested } from "./optimizer_steps.ts";

/** Newton-Schulz by plain loops, the tall matrix by its transpose. */
function newtonSchulz(values: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const product = (a: number[][], b: number[][]) =>
    a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
  const transposed = (a: number[][]) => a[0].map((_, j) => a.map((row) => row[j]));
  const norm = Math.hypot(...Array.from(values));
  let x = Array.from(
    { length: rows },
    (_, i) => Array.from({ length: columns }, (_, j) => values[i * columns + j] / Math.max(norm, 1e-7)),
  );
  if (rows > columns) x = transposed(x);
  for (let round = 0; round < 5; round++) {
    const gram = product(x, transposed(x));
    const fourth = product(gram, gram);
    const polynomial = gram.map((row, i) => row.map((g, j) => -4.775 * g + 2.0315 * fourth[i][j]));
    const change = product(polynomial, x);
    x = x.map((row, i) => row.map((value, j) => 3.4445 * value + change[i][j]));
  }
  return Float64Array.from((rows > columns ? transposed(x) : x).flat());
}

Deno.test("orthogonalised() equals Newton-Schulz by plain loops in 20 random shapes, and float64 on WebGPU in 4", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  const makeCase = (rng: RandomStream) => {
    const feeds: Record<string, Float64Array> = {};
    const shape = [between(rng, 1, 40), between(rng, 1, 40)];
    const x = randomInput(rng, feeds, "x", shape, 10 ** (4 * rng.uniform() - 3));
    return { feeds, outputs: { y: orthogonalised(x, 3) }, label: shape.join("x") };
  };
  for (let k = 0; k < 20; k++) {
    const { feeds, outputs } = makeCase(randomStream(k, "orthogonalised"));
    using program = await oracle.compile({ outputs });
    program.run(feeds);
    const [rows, columns] = outputs.y.shape;
    const expected = newtonSchulz(feeds.x, rows, columns).map((value) => 3 * value);
    const error = relativeError((await program.read(["y"]))[0], expected);
    assert.ok(error <= 1e-12, `${rows}x${columns}: ${error}`);
  }
  // Each iteration multiplies the rounding error of a small singular value by up to 3.4: 500 times 6e-8.
  await checkKernel("orthogonalised", makeCase, { tolerance: 3e-5, count: 4 });
});

Deno.test("muon() gives each matrix the same direction whether or not it is stacked with others of its shape", async () => {
  // Those of 128 and 64 numbers are stacked; those of 35 would not start at a valid binding offset.
  const shapes = [[8, 16], [5, 7], [8, 16], [16, 8], [5, 7], [8, 8], [16, 8], [8, 8]];
  let size = 0;
  const matrices = shapes.map((shape) => {
    const offset = size;
    size += Math.ceil(sizeOf(shape) / 64) * 64;
    return { offset, shape };
  });
  const options = { momentum: 0, nesterov: false, weightDecay: 0, clip: 0, matrices };
  const tested: Tested = {
    states: ["momentum"],
    step: (tensors) => muon(tensors, options),
  };
  const { steps: [{ gradient }] } = randomSteps(randomStream(2, "muon stacks"), size);
  await onDevices(async (device, tolerance) => {
    const [{ parameter }] = await runSteps(device, tested, new Float64Array(size), [{ lr: 1, gradient }]);
    for (const { offset, shape: [rows, columns] } of matrices) {
      const part = (x: Float64Array) => x.subarray(offset, offset + rows * columns);
      const factor = 0.2 * Math.sqrt(Math.max(rows, columns));
      const expected = newtonSchulz(part(gradient), rows, columns).map((value) => -factor * value);
      // Rounding of float32, multiplied by up to 3.4 in each of five iterations.
      const error = relativeError(part(parameter), expected);
      assert.ok(
        error <= tolerance(1e-12, 3e-5),
        `${rows}x${columns} at ${offset}, ${device.adapter}: ${error}`,
      );
    }
  });
});

Deno.test("orthogonalised() keeps singular vectors, brings singular values to between 0.6 and 1.3, and gives 0 for 0", async () => {
  using device = referenceDevice({ precision: "f64" });
  const x = input("x", [4, 6]);
  using program = await device.compile({ outputs: { y: orthogonalised(x) } });
  // Singular values on the diagonal, down to 2% of the norm.
  const values = new Float64Array(24);
  [1, 0.5, 0.1, 0.02].forEach((s, i) => values[7 * i] = s);
  program.run({ x: values });
  const [y] = await program.read(["y"]);
  y.forEach((value, at) => {
    if (at % 7 === 0 && at < 28) assert.ok(value > 0.6 && value < 1.3, `${value} at ${at}`);
    else assert.equal(value, 0);
  });
  program.run({ x: new Float64Array(24) });
  assert.ok((await program.read(["y"]))[0].every((value) => value === 0));
});
