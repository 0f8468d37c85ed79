// Long sequences: memory linear in T, and the right numbers where the dense matrix would have 268 million entries per head.
import assert from "node:assert/strict";
import { attention } from "../../kernels/attention/op.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { randomStream } from "../../src/base/random.ts";
import { attentionOracle, attentionOracleGradient, type OracleOptions } from "../../src/check/oracle.ts";
import { plan } from "../../src/device/plan.ts";
import { input } from "../../src/graph/structure.ts";
import { randomInput, relativeError, webgpuDevices } from "../kernels/harness.ts";
import type { Values } from "../../src/graph/tensor.ts";

const [T, H, D] = [16384, 2, 16];
const NAMES = ["q", "k", "v", "dz"];

function graph(length: number, activation: "softmax" | "sigmoid") {
  const [q, k, v, dz] = NAMES.map((name) => input(name, [1, length, H, D]));
  const z = attention(q, k, v, { activation });
  const [dq, dk, dv] = grad(sumAll(multiply(z, dz)), [q, k, v]);
  return { outputs: { z, dq, dk, dv } };
}

/** Rows of a tensor [1, T, H, D]. */
const rowsOf = (x: Values, rows: readonly number[]): Float64Array =>
  Float64Array.from(rows.flatMap((i) => [...x.subarray(i * H * D, (i + 1) * H * D)]));

for (const activation of ["softmax", "sigmoid"] as const) {
  Deno.test(`${activation} attention over 16,384 positions takes memory linear in T, forward and backward`, async () => {
    const [{ target }] = await webgpuDevices();
    const [once, twice] = [T, 2 * T].map((length) =>
      plan(graph(length, activation), target).memory.activations
    );
    // Buffers are rounded to 256 bytes, and the sum of the loss has a scratch of its own.
    assert.ok(twice <= 2.01 * once, `${once} bytes at ${T}, ${twice} at ${2 * T}`);
    // z, dz and three gradients of 2 MiB each and row terms; one matrix would be 1 GiB per head.
    assert.ok(once < 16 * 4 * T * H * D, `${once} bytes`);
  });

  Deno.test(`${activation} attention over 16,384 positions equals the dense oracle in 20 rows, forward and backward`, async () => {
    const [device] = await webgpuDevices();
    const rng = randomStream(1, `long ${activation}`);
    const feeds: Record<string, Values> = {};
    for (const name of NAMES) randomInput(rng, feeds, name, [1, T, H, D]);
    using program = await device.compile(graph(T, activation));
    program.run(feeds);
    const [z, dq, dk, dv] = await program.read(["z", "dq", "dk", "dv"]);
    // Ten random rows, and the last ten: only these see the last ten keys.
    const last = Array.from({ length: 10 }, (_, n) => T - 10 + n);
    const rows = [...Array.from({ length: 10 }, () => rng.below(T - 10)), ...last];
    const given = (x: Values, of: readonly number[]) => ({
      shape: [1, of.length, H, D],
      data: rowsOf(x, of),
    });
    const dense = (x: Values) => ({ shape: [1, T, H, D], data: x });
    const options: OracleOptions = {
      activation,
      mask: (_b, _h, i, j) => j <= rows[i],
      ...(activation === "sigmoid" ? { score: (s) => s - Math.log(T), slope: () => 1 } : {}),
    };
    const [q, k, v, upstream] = [given(feeds.q, rows), dense(feeds.k), dense(feeds.v), given(feeds.dz, rows)];
    const expected = {
      z: attentionOracle(q, k, v, options).z,
      ...attentionOracleGradient(q, k, v, upstream, options),
    };
    assert.ok(relativeError(rowsOf(z, rows), expected.z) <= 1e-5, "z");
    assert.ok(relativeError(rowsOf(dq, rows), expected.dq) <= 1e-4, "dq");
    // The other ten rows add to early keys only in part; to the last ten keys none of them adds.
    const tail = (x: Values) => Float64Array.from(x.subarray((T - 10) * H * D));
    assert.ok(relativeError(tail(dk), tail(expected.dk)) <= 1e-4, "dk");
    assert.ok(relativeError(tail(dv), tail(expected.dv)) <= 1e-4, "dv");
    // Every row and key: sum_i q_i . dq_i = sum_ij ds_ij s_ij = sum_j k_j . dk_j. Each sum has terms of either sign.
    const inner = (x: Values, y: Values) => {
      let sum = 0;
      for (let at = 0; at < x.length; at++) sum += x[at] * y[at];
      return sum;
    };
    const size = Math.hypot(...Array.from({ length: 1000 }, (_, at) => dq[at] * feeds.q[at]));
    const gap = Math.abs(inner(feeds.q, dq) - inner(feeds.k, dk));
    assert.ok(gap <= 1e-3 * size * Math.sqrt(dq.length / 1000), `${gap} against terms of ${size}`);
  });
}
