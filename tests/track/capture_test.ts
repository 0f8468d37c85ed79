// Captures: the requested rows equal the attention that the model computes; masked scores are -infinity.
import assert from "node:assert/strict";
import { join } from "node:path";
import { resolveConfig } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import { captureCharts } from "../../src/track/capture_charts.ts";
import { decodeSafetensors } from "../../src/model/formats/safetensors.ts";
import { train } from "../../src/train/train.ts";
import { textsOf } from "../chart/picture.ts";

/** The values in the cells of a heat map. */
const numbersIn = (svg: string) =>
  textsOf(svg).filter(({ attributes }) => /fill="#(000000|ffffff)"/.test(attributes));

const ROOT = new URL("../../", import.meta.url).pathname;

async function capture(folder: string, wish: Record<string, unknown>, model: Record<string, unknown> = {}) {
  const trained = await train(resolveConfig({
    device: "cpu",
    data: { files: [`${ROOT}README.md`] },
    model: { context: 8, dim: 16, layers: 2, heads: 2, init: { std: 0.3 }, ...model },
    train: { steps: 4, batch: 3 },
    eval: { every: 100, batches: 1 },
    sample: { tokens: 0 },
    output: { dir: folder },
    track: "act:**.attn.pattern",
    capture: [{ every: 2, ...wish }],
  }, { place: "test", name: "test" }));
  return trained!.folder;
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const activation of ["softmax", "sigmoid"]) {
  Deno.test(`a capture holds the ${activation} of its own scores, for the layers, heads, queries and samples asked for`, () =>
    inFolder(async (folder) => {
      const wish = { layers: [1], heads: [1], queries: [0, 5, 7], samples: 2 };
      const run = await capture(folder, wish, { block: { attention: { activation } } });
      const files = [...Deno.readDirSync(join(run.path, "captures"))].map(({ name }) => name).sort();
      assert.deepEqual(files, ["2.safetensors", "4.safetensors"]);
      const path = join(run.path, "captures", "4.safetensors");
      const { tensors } = decodeSafetensors(await Deno.readFile(path), path);
      assert.deepEqual([...tensors.keys()].sort(), [
        "blocks.1.attn.pattern",
        "blocks.1.attn.scores",
        "heads",
        "queries",
        "tokens",
      ]);
      const [pattern, scores] = ["pattern", "scores"].map((name) => tensors.get(`blocks.1.attn.${name}`)!);
      assert.deepEqual(pattern.shape, [2, 1, 3, 8]);
      assert.deepEqual(tensors.get("tokens")!.shape, [2, 8]);
      [0, 5, 7, 0, 5, 7].forEach((query, row) => {
        const a = Array.from(pattern.data.slice(row * 8, row * 8 + 8), Number);
        const s = Array.from(scores.data.slice(row * 8, row * 8 + 8), Number);
        s.forEach((x, j) => assert.equal(x === -Infinity, j > query, `score ${row}, ${j}`));
        const weights = s.map((x) => activation === "softmax" ? Math.exp(x) : 1 / (1 + Math.exp(-x)));
        const mass = activation === "softmax" ? weights.reduce((sum, x) => sum + x, 0) : 1;
        a.forEach((x, j) => {
          if (j > query) assert.equal(x, NaN, `a masked key has no weight, found ${x}`);
          else assert.ok(Math.abs(x - weights[j] / mass) < 1e-6, `${x} and ${weights[j] / mass}`);
        });
      });
      assert.notDeepEqual(
        pattern.data.slice(8, 16),
        pattern.data.slice(32, 40),
        "two samples have rows of their own",
      );
      const charts = await captureCharts(run);
      assert.deepEqual(Object.keys(charts), ["pattern_layer1_head1.svg"]);
      assert.equal(
        await Deno.readTextFile(join(run.charts, "pattern_layer1_head1.svg")),
        Object.values(charts)[0],
      );
      assert.match(Object.values(charts)[0], /Attention of layer 1, head 1, at step 4/);
      assert.equal(numbersIn(Object.values(charts)[0]).length, 1 + 6 + 8, "numbers of visible keys alone");
    }));
}

Deno.test("a capture of layers or heads that the model does not have is refused before the first step", () =>
  inFolder(async (folder) => {
    const refused: [Record<string, unknown>, RegExp][] = [
      [{ layers: [2] }, /^capture\.0\.layers: there is no block 2, expected 0 to 1\.$/],
      [{ heads: [5] }, /^capture\.0\.heads: there is no head 5, expected 0 to 1\.$/],
      [{ queries: [8] }, /^capture\.0\.queries: there is no position 8, expected 0 to 7\.$/],
      [{ samples: 4 }, /^capture\.0\.samples: 4 is above the 3 samples of a batch\.$/],
    ];
    for (const [wish, message] of refused) {
      await assert.rejects(capture(folder, wish), (error: Error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        return true;
      });
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));
