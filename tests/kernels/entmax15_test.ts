// entmax15's tau on a device, which never stores a row of scores: rows that are hard for the search, against float64 sorting.
import { assert } from "../../src/std/assert.ts";
import { attention } from "../../kernels/attention/op.ts";
import { entmax15 } from "../../kernels/attention/entmax15.ts";
import { input } from "../../src/graph/structure.ts";
import { evaluate, webgpuDevices } from "./harness.ts";

/** Scores of one query with all keys: q is 1, keys are the scores, values single out 16 classes of keys. */
const ROWS: Record<string, (j: number, S: number) => number> = {
  "all scores equal": () => 3,
  "scores within 1e-3": (j) => 1e-3 * Math.sin(7 * j),
  "one score far above": (j) => j === 700 ? 40 : Math.sin(j),
  "many scores just above and below the least of the support": (j) =>
    j === 3 ? 0 : -1.99 + 0.02 * Math.sin(j),
  "ties at the least of the support": (j) => j % 3 === 0 ? 0.25 : -1,
  "wide scores": (j) => 8 * Math.sin(j),
};

for (const [name, scoreOf] of Object.entries(ROWS)) {
  Deno.test(`entmax15 of 1,500 keys, ${name}: z to 1e-5 of sorting in float64, on every device`, async () => {
    const [S, classes] = [1500, 16];
    const k = Float32Array.from({ length: S }, (_, j) => scoreOf(j, S));
    const v = Float32Array.from(
      { length: S * classes },
      (_, n) => Number(Math.floor(n / classes) % classes === n % classes),
    );
    const expected = new Float64Array(classes);
    entmax15.definition.weights([...k]).forEach((a, j) => expected[j % classes] += a);
    const z = attention(input("q", [1, 1, 1, 1]), input("k", [1, S, 1, 1]), input("v", [1, S, 1, classes]), {
      activation: "entmax15",
      causal: false,
      scale: 1,
    });
    for (const device of await webgpuDevices()) {
      const { z: results } = await evaluate(device, {
        feeds: { q: Float32Array.of(1), k, v },
        outputs: { z },
      });
      const error = Math.hypot(...expected.map((x, e) => results[e] - x)) / Math.hypot(...expected);
      assert(error < 1e-5, `${device.adapter}: ${error}`);
    }
  });
}
