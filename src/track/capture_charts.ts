// Charts of captured attention patterns: one heat map per head, its rows and columns labelled with their tokens.
import { readWhole } from "../base/whole_file.ts";
import { join } from "node:path";
import { heatMap } from "../chart/mod.ts";
import { textBehind, type Tokenizer } from "../data/mod.ts";
import { loadTokenizer } from "../model/checkpoint.ts";
import type { RunFolder } from "../runs/run_folder.ts";
import { type DecodedSafetensors, decodeSafetensors } from "../model/formats/safetensors.ts";

/** Maximum number of heat maps drawn per capture, because each may take megabytes. */
const MAX_MAPS = 64;

/**
 * Matches the name of a captured pattern. Its groups are the prefix `capture.N.`, present if several entries were due, and the
 * index of the block.
 */
const PATTERN = /^(capture\.\d+\.)?blocks\.(\d+)\.attn\.pattern$/;

/** Returns the steps of the captures in a folder, in ascending order; empty if the folder does not exist. */
async function captureSteps(folder: string): Promise<number[]> {
  const steps: number[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const match = /^(\d+)\.safetensors$/.exec(name);
      if (match) steps.push(Number(match[1]));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return steps.sort((a, b) => a - b);
}

/** Returns the values of a tensor in a capture. */
const valuesOf = ({ tensors }: DecodedSafetensors, name: string): number[] =>
  Array.from(tensors.get(name)!.data as ArrayLike<number>);

function mapsOf(capture: DecodedSafetensors, tokenizer: Tokenizer, step: number): Record<string, string> {
  const [, context] = capture.tensors.get("tokens")!.shape;
  const tokens = valuesOf(capture, "tokens").slice(0, context);
  const words = tokens.map((id, i) => textBehind(tokenizer, tokens[i - 1], [id]));
  const charts: Record<string, string> = {};
  const shapes = [...capture.tensors].flatMap(([name, { shape }]) => PATTERN.test(name) ? [shape[1]] : []);
  const all = shapes.reduce((sum, heads) => sum + heads, 0);
  const cut = all > MAX_MAPS ? ` (one of ${MAX_MAPS} drawn, ${all} captured)` : "";
  for (const [name, { shape: [, heads, queries, keys] }] of capture.tensors) {
    const match = PATTERN.exec(name);
    if (!match) continue;
    const [, prefix = "", layer] = match;
    const [pattern, scores, headOf, queryOf] = [
      name,
      name.replace(/pattern$/, "scores"),
      `${prefix}heads`,
      `${prefix}queries`,
    ].map((key) => valuesOf(capture, key));
    for (let h = 0; h < heads && Object.keys(charts).length < MAX_MAPS; h++) {
      const at = (i: number) => (h * queries + i) * keys;
      charts[`pattern_${prefix}layer${layer}_head${headOf[h]}.svg`] = heatMap({
        title: `Attention of layer ${layer}, head ${headOf[h]}, at step ${step}${cut}`,
        rows: queryOf.map((i) => words[i]),
        // Learned keys after the text have no token.
        columns: Array.from({ length: keys }, (_, j) => words[j] ?? `+${j - context}`),
        values: Array.from({ length: queries }, (_, i) => pattern.slice(at(i), at(i) + keys)),
        // Masked keys are recognised by their scores, because captures by earlier versions of heed store the weight 0 for them.
        blank: (i, j) => scores[at(i) + j] === -Infinity,
        x: { label: "key" },
        y: { label: "query" },
        value: { label: "attention" },
      });
    }
  }
  return charts;
}

/**
 * Draws heat maps of the first sample in a run's last capture. Rows are queries and columns are keys, both labelled with their
 * tokens; masked keys are blank.
 *
 * @returns SVG documents, keyed by file name; empty if the run has no capture
 * @throws {UserError} if the capture or the checkpoint with the tokenizer is damaged
 *
 * @example
 * ```ts
 * import { captureCharts, resolveRun } from "../../mod.ts";
 * const { run } = await resolveRun("runs/latest");
 * console.log(Object.keys(await captureCharts(run!)));
 * ```
 * @category Charts
 */
export async function captureCharts(run: RunFolder): Promise<Record<string, string>> {
  const folder = join(run.path, "captures");
  const step = (await captureSteps(folder)).at(-1);
  if (step === undefined) return {};
  const path = join(folder, `${step}.safetensors`);
  const tokenizer = await loadTokenizer(run.path);
  return mapsOf(decodeSafetensors(await readWhole(path), path), tokenizer, step);
}
