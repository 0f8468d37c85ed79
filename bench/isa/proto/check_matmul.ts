// The proposed products against float64:
//   python3 bench/isa/proto/check_matmul.py FOLDER && deno run -A bench/isa/proto/check_matmul.ts FOLDER
import { openDevice, randomFloats, report, runKernel, worstError } from "./gpu_run.ts";

const [M, N, K] = [200, 136, 192];
const folder = Deno.args[0];
const device = await openDevice();
const a = randomFloats(M * K, 1);
const b = randomFloats(N * K, 2);

function product(transA: boolean, transB: boolean): Float64Array {
  return Float64Array.from({ length: M * N }, (_, i) => {
    const [m, n] = [Math.floor(i / N), i % N];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += a[transA ? k * M + m : m * K + k] * b[transB ? n * K + k : k * N + n];
    return sum;
  });
}
const products = new Map(
  ["NN", "NT", "TN", "TT"].map((operands) => [operands, product(operands[0] === "T", operands[1] === "T")]),
);

for (const name of [...Deno.readDirSync(folder)].map(({ name }) => name).sort()) {
  const path = `${folder}/${name}`;
  const [, rows, columns] = Deno.readTextFileSync(path).match(/BM=(\d+) BN=(\d+)/)!.map(Number);
  const slices = name.startsWith("splitk") ? 4 : 1;
  const workgroups = [Math.ceil(N / columns), Math.ceil(M / rows), slices] as const;
  const [parts] = await runKernel(device, path, [M * N * slices, a, b], workgroups);
  const sums = Float64Array.from({ length: M * N }, (_, i) => {
    let sum = 0;
    for (let s = 0; s < slices; s++) sum += parts[s * M * N + i];
    return sum;
  });
  report(name, worstError(sums, products.get(name.slice(-7, -5))!));
}
Deno.exit();
