// Planning takes time in proportion to a graph's nodes: free buffers and parts of a pack are not searched one by one.
import assert from "node:assert/strict";
import process from "node:process";
import { multiply, scale } from "../../kernels/elementwise/op.ts";
import { plan } from "../../src/device/plan.ts";
import { input, pack } from "../../src/graph/structure.ts";

/** CPU time in milliseconds, which other processes of a busy machine do not affect. */
function cpuMs(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** `count` tensors kept for a backward pass and released during it, and a pack of `count` parts. */
function planned(count: number): void {
  const x = input("x", [64]);
  const kept = [x];
  for (let i = 0; i < count; i++) kept.push(scale(kept[i], 0.5));
  let gradient = kept[count];
  for (let i = count; i > 0; i--) gradient = multiply(gradient, kept[i]);
  const parts = Array.from({ length: count }, () => multiply(gradient, x));
  const packed = pack(parts, parts.map((_, i) => 64 * i), 64 * count);
  const { steps, buffers } = plan({ outputs: { packed } });
  assert.equal(steps.length, 3 * count + 1);
  // The input, the kept tensors and one more gradient, and the pack with its parts.
  assert.equal(buffers.length, count + 3);
}

Deno.test("plan() takes time in proportion to the nodes, with thousands of free buffers and parts of a pack", () => {
  planned(1000);
  const [one, many] = [1000, 20000].map((count) =>
    Math.min(...[0, 1].map(() => cpuMs(() => planned(count))))
  );
  // Linear is 20, quadratic 400.
  assert.ok(many < 50 * Math.max(one, 5), `${one} ms for 1,000 and ${many} ms for 20,000`);
});
