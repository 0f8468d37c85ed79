// A sweep of 2 x 3 runs for tests.
import assert from "node:assert/strict";
import { inFolder, tree } from "./harness.ts";

/** 2 x 3 runs, and a list that is not part of the sweep. */
const GRID = `device: cpu
data: { files: [text.txt] }
model: { context: 16, dim: [8, 16], layers: 1, heads: 2 }
train: { steps: 120, batch: 4 }
optimizer: { lr: [0.001, 0.003, 0.01], betas: [0.9, 0.95] }
schedule: { warmup: 2 }
eval: { every: 40, batches: 4 }
output: { checkpoint_every: 20 }
sample: { prompt: "The ", tokens: 10 }
ablations: { no_positions: model.positions=none }
`;

export async function inGrid(body: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/grid.yaml`, GRID);
    await body(folder);
  });
}

/** The one sweep's folder. */
export function sweepOf(folder: string): string {
  const folders = tree(`${folder}/runs`).filter((path) => /^grid-sweep-[0-9a-f]{8}$/.test(path));
  assert.equal(folders.length, 1);
  return `${folder}/runs/${folders[0]}`;
}
