// Stores attention patterns of selected layers, heads and queries. The device computes queries and keys; the host computes the
// pattern row by row, so that no T x S matrix except the stored one is ever in memory.
import { maximum } from "../base/extremes.ts";
import { join } from "node:path";
import type { AttentionAttrs } from "../../kernels/attention/sizes.ts";
import { contextOfCall, forRows, rowValues, seenRow, weights } from "../../kernels/attention/rows.ts";
import type { AttentionContext } from "../../kernels/attention/rows.ts";
import type { Config } from "../config/mod.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { input } from "../graph/structure.ts";
import { type Floats, sizeOf, type Tensor, type Values } from "../graph/tensor.ts";
import { decoder } from "../nn/mod.ts";
import { reportProgress } from "../base/progress.ts";
import type { Experiment } from "../model/model.ts";
import { flat, parameterViews } from "../model/layout.ts";
import { makeFolder, type RunFolder, writeFileAtomic } from "../runs/run_folder.ts";
import { encodeSafetensors, type TensorData } from "../model/formats/safetensors.ts";
import { activationCache } from "../model/taps.ts";

type Entry = Config["capture"][number];

/** Writes the captures that the configuration's `capture` requests. */
export interface Capture extends Disposable {
  /** Writes `captures/<step>.safetensors` into the run's folder if an entry is due at the step. */
  at(step: number, folder: RunFolder): Promise<void>;
}

function indices(place: string, given: readonly number[], count: number, what: string): readonly number[] {
  const wrong = given.find((n) => n >= count);
  if (wrong !== undefined) {
    throw new UserError(`${place}: there is no ${what} ${wrong}, expected 0 to ${count - 1}.`);
  }
  return given.length > 0 ? given : Array.from({ length: count }, (_, n) => n);
}

/**
 * Returns a `capture` entry with each empty list replaced by a list of all indices. Throws a UserError if the entry is invalid.
 */
function resolveEntry(entry: Entry, n: number, { architecture, config }: Experiment): Entry {
  const { layers, heads, context } = architecture;
  const { batch } = config.train;
  if (entry.samples > batch) {
    throw new UserError(`capture.${n}.samples: ${entry.samples} is above the ${batch} samples of a batch.`);
  }
  return {
    ...entry,
    layers: [...indices(`capture.${n}.layers`, entry.layers, layers, "block")],
    heads: [...indices(`capture.${n}.heads`, entry.heads, heads, "head")],
    queries: [...indices(`capture.${n}.queries`, entry.queries, context, "position")],
  };
}

/**
 * Returns the pattern and the scores of one attention layer for the samples, heads and queries of an entry; both have the shape
 * [samples, heads, queries, S]. A masked key has the score -infinity and the weight NaN, not 0, because a visible key can have
 * the weight 0.
 */
function matrices(context: AttentionContext, q: Floats, k: Floats, { heads, queries, samples }: Entry) {
  const { S } = context.sizes;
  const shape = [samples, heads.length, queries.length, S];
  const pattern = new Float32Array(sizeOf(shape)).fill(NaN);
  const scores = new Float32Array(sizeOf(shape)).fill(-Infinity);
  const values = rowValues(context);
  forRows(context, (shown) => {
    const [head, query] = [heads.indexOf(shown.head), queries.indexOf(shown.i)];
    if (head < 0 || query < 0) return;
    weights(context, shown, q, k, values);
    const { batch, keys } = seenRow(shown, values);
    const at = ((batch * heads.length + head) * queries.length + query) * S;
    keys.forEach((j, n) => {
      pattern[at + j] = values.a[n];
      scores[at + j] = values.scores[n];
    });
  }, (b) => b < samples);
  return { pattern, scores, shape };
}

/** Builds the forward pass whose attention is captured. Also returns the entries of `capture` as `resolveEntry` returns them. */
export function captureGraph(experiment: Experiment) {
  const { config, architecture, layout } = experiment;
  const entries = config.capture.map((entry, n) => resolveEntry(entry, n, experiment));
  const samples = maximum(entries.map((entry) => entry.samples));
  const ids = input("ids", [samples, architecture.context], "u32");
  const taps = activationCache();
  decoder(architecture, parameterViews(layout, flat(layout)), ids, { taps });
  const attended = new Map<number, { attrs: AttentionAttrs; inputs: readonly Tensor[] }>();
  const outputs: Record<string, Tensor> = {};
  for (const n of new Set(entries.flatMap(({ layers }) => layers))) {
    const { inputs, attrs } = taps.attentions.get(`blocks.${n}.attn`)!.node;
    attended.set(n, { inputs, attrs: attrs as AttentionAttrs });
    inputs.forEach((x, k) => outputs[`${n} ${k}`] = x);
  }
  return { entries, samples, attended, outputs };
}

/** Compiles the forward pass whose attention is captured. It reads the first samples of the evaluated split. */
export async function capturer(device: Device, experiment: Experiment): Promise<Capture> {
  const { config, architecture, source } = experiment;
  const { entries, samples, attended, outputs } = captureGraph(experiment);
  const program = await device.compile({ outputs });
  const tokens = source.evaluation(config.eval.split).batch(0).ids.slice(0, samples * architecture.context);
  const matricesOf = (n: number, read: (name: string) => Values, entry: Entry) => {
    const call = attended.get(n)!;
    const values = call.inputs.map((_, i) => read(`${n} ${i}`));
    return matrices(contextOfCall(values, call), values[0] as Floats, values[1] as Floats, entry);
  };
  return {
    async at(step, folder) {
      const due = entries.filter(({ every }) => step % every === 0);
      if (due.length === 0) return;
      reportProgress({ what: "capturing attention" });
      program.run({ ids: tokens });
      const names = Object.keys(outputs);
      const read = await program.read(names);
      const tensors: Record<string, TensorData> = {
        tokens: { dtype: "I32", shape: [samples, architecture.context], data: Int32Array.from(tokens) },
      };
      due.forEach((entry, n) => {
        const place = due.length > 1 ? `capture.${n}.` : "";
        for (const layer of entry.layers) {
          const { pattern, scores, shape } = matricesOf(layer, (name) => read[names.indexOf(name)], entry);
          tensors[`${place}blocks.${layer}.attn.pattern`] = { dtype: "F32", shape, data: pattern };
          tensors[`${place}blocks.${layer}.attn.scores`] = { dtype: "F32", shape, data: scores };
        }
        for (const name of ["heads", "queries"] as const) {
          const data = Int32Array.from(entry[name]);
          tensors[`${place}${name}`] = { dtype: "I32", shape: [data.length], data };
        }
      });
      const path = join(folder.path, "captures");
      await makeFolder(path);
      const bytes = encodeSafetensors(tensors, { format: "heed capture", step: String(step) });
      await writeFileAtomic(join(path, `${step}.safetensors`), bytes);
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}
