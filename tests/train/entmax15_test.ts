// A model with entmax15 attention trains, is tracked, stopped and resumed, on the CPU and on WebGPU.
import { assertEquals } from "../../src/std/assert.ts";
import { findAdapter } from "../../src/device/mod.ts";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { readLog } from "../../src/log/log_file.ts";
import type { LogRecord } from "../../src/log/records.ts";
import { resume, train } from "../../src/train/train.ts";

function configOf(folder: string, device: string): Config {
  return resolveConfig({
    device,
    data: { files: [`${folder}/text.txt`] },
    model: {
      context: 40,
      dim: 8,
      layers: 1,
      heads: 2,
      block: { attention: { activation: "entmax15", temperature: 7 }, dropout: 0.1 },
    },
    train: { steps: 6, batch: 2 },
    optimizer: { lr: 1e-2 },
    eval: { every: 3, batches: 1 },
    sample: { tokens: 0 },
    track: [{ select: ["act:blocks.*.attn.*", "grad:blocks.*.attn.*"], every: 1 }],
    output: { dir: `${folder}/runs` },
  }, { place: "test", name: "test" });
}

const VOLATILE = new Set(["time", "ms", "seconds", "tokens_per_s", "path", "name"]);

/** Records of steps, evaluations and statistics without clock fields. */
async function recordsOf(path: string): Promise<LogRecord[]> {
  const all = await Array.fromAsync(readLog(path));
  return all.filter(({ type }) => ["step", "eval", "stat"].includes(type)).map((record) =>
    Object.fromEntries(Object.entries(record).filter(([key]) => !VOLATILE.has(key))) as unknown as LogRecord
  );
}

const devices = ["cpu", ...(await findAdapter() ? ["webgpu"] : [])];
for (const device of devices) {
  Deno.test(`a run with entmax15 on ${device} that is stopped and resumed has the records of an uninterrupted one`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(
        `${folder}/text.txt`,
        "what trains, resumes, is tracked and analysed. ".repeat(40),
      );
      const uninterrupted = await train(configOf(folder, device));
      const expected = await recordsOf(uninterrupted!.folder.log);
      const stop = new AbortController();
      const stopped = await train(configOf(folder, device), {
        signal: stop.signal,
        onProgress: ({ step }) => step >= 3 && stop.abort(),
      });
      await resume(stopped!.folder.path);
      assertEquals(await recordsOf(stopped!.folder.log), expected);
      const patterns = expected.filter((record) => "rowmass" in record) as unknown as Record<
        string,
        number
      >[];
      // Six steps of two heads and their mean.
      assertEquals(patterns.length, 18);
      for (const { rowmass, nonfinite } of patterns) {
        assertEquals([Math.round(rowmass * 1e6) / 1e6, nonfinite], [1, 0]);
      }
      assertEquals(
        patterns.some(({ effective_keys, sparsity }) => effective_keys > 1 && sparsity > 0.1),
        true,
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
