// Rows written into a cache in place: only those, where they belong, on every device.
import assert from "node:assert/strict";
import { cacheRows } from "../../kernels/cache_rows/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input, state } from "../../src/graph/structure.ts";
import { between, kernelDevices } from "./harness.ts";
import { checkThreads } from "./simd_cases.ts";

Deno.test("cacheRows() writes the rows of each run at their positions, skips those past the end, and keeps the rest", async () => {
  using reference = referenceDevice();
  const devices = [reference, ...await kernelDevices()];
  for (let round = 0; round < 10; round++) {
    const rng = randomStream(round, "cache rows");
    const [B, S, T, C] = [between(rng, 1, 4), between(rng, 4, 9), between(rng, 1, 4), between(rng, 1, 70)];
    const name = `held ${round}`;
    const expected = new Float32Array(B * S * C);
    const runs = Array.from({ length: 3 }, () => {
      const start = Array.from({ length: B }, () => rng.below(S + 2));
      const positions = Uint32Array.from({ length: B * T }, (_, i) => start[Math.floor(i / T)] + i % T);
      return { rows: Float32Array.from({ length: B * T * C }, () => rng.normal()), positions };
    });
    for (const { rows, positions } of runs) {
      positions.forEach((at, row) => {
        for (let c = 0; c < C; c++) {
          if (at < S) expected[(Math.floor(row / T) * S + at) * C + c] = rows[row * C + c];
        }
      });
    }
    for (const device of devices) {
      const y = cacheRows(
        state(name, [B, S, C]),
        input("rows", [B, T, C]),
        input("positions", [B, T], "u32"),
      );
      using program = await device.compile({ outputs: { y } });
      for (const feeds of runs) program.run(feeds);
      const where = `${device.adapter}, ${B}x${S}x${C}, ${T} rows`;
      assert.deepEqual((await program.read(["y"]))[0], expected, where);
      assert.deepEqual((await device.read([name]))[0], expected, where);
    }
  }
});

Deno.test("cacheRows() gives the same bytes for any number of threads", async () => {
  const rng = randomStream(0, "cache threads");
  const [B, S, T, C] = [5, 9, 3, 13];
  const y = cacheRows(state("held", [B, S, C]), input("rows", [B, T, C]), input("positions", [B, T], "u32"));
  const rows = Float32Array.from({ length: B * T * C }, () => rng.normal());
  // Two rows of each sample have the same position: the later one is kept.
  const positions = Uint32Array.from({ length: B * T }, (_, i) => i % T === 0 ? 4 : 2);
  await checkThreads({ feeds: { rows, positions }, outputs: { y } }, ["cache_rows"]);
});

Deno.test("cacheRows() of rows of another width is rejected in one line", () => {
  const wrong = () =>
    cacheRows(state("held", [2, 8, 4]), input("rows", [2, 1, 5]), input("positions", [2, 1], "u32"));
  assert.throws(wrong, (error) => {
    return error instanceof UserError &&
      error.message ===
        "cache_rows: expected cache f32[B, S, C], rows f32[B, T, C] and positions u32[B, T], " +
          "found f32[2, 8, 4] and f32[2, 1, 5] and u32[2, 1].";
  });
});
