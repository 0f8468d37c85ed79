// Attention patterns stored whole, for the layers, heads and queries asked for. The device gives queries and keys; the
// rows are made on the host, one at a time, so that no T x S matrix but the captured one ever exists.
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

type Wish = Config["capture"][number];

/** Stores what `capture` asks for at the steps it asks for. */
export interface Capture extends Disposable {
  /** Writes `captures/<step>.safetensors` into the run's folder if an entry is due at the step. */
  at(step: number, folder: RunFolder): Promise<void>;
}

function checked(place: string, given: readonly number[], count: number, what: string): readonly number[] {
  const wrong = given.find((n) => n >= count);
  if (wrong !== undefined) {
    throw new UserError(`${place}: there is no ${what} ${wrong}, expected 0 to ${count - 1}.`);
  }
  return given.length > 0 ? given : Array.from({ length: count }, (_, n) => n);
}

/** An entry with its lists written out, or the user's mistake in it. */
function resolved(wish: Wish, n: number, { architecture, config }: Experiment): Wish {
  const { layers, heads, context } = architecture;
  const { batch } = config.train;
  if (wish.samples > batch) {
    throw new UserError(`capture.${n}.samples: ${wish.samples} is above the ${batch} samples of a batch.`);
  }
  return {
    ...wish,
    layers: [...checked(`capture.${n}.layers`, wish.layers, layers, "block")],
    heads: [...checked(`capture.${n}.heads`, wish.heads, heads, "head")],
    queries: [...checked(`capture.${n}.queries`, wish.queries, context, "position")],
  };
}

/**
 * Pattern and scores of one attention for a wish: [samples, heads, queries, S] each. Of a masked key the score is -infinity
 * and the weight NaN: 0 is the weight of a key that was seen and not looked at.
 */
function matrices(context: AttentionContext, q: Floats, k: Floats, { heads, queries, samples }: Wish) {
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

/** The forward pass whose attention is captured, and what the entries of `capture` ask of it. */
export function captureGraph(experiment: Experiment) {
  const { config, architecture, layout } = experiment;
  const wishes = config.capture.map((wish, n) => resolved(wish, n, experiment));
  const samples = maximum(wishes.map((wish) => wish.samples));
  const ids = input("ids", [samples, architecture.context], "u32");
  const taps = activationCache();
  decoder(architecture, parameterViews(layout, flat(layout)), ids, { taps });
  const attended = new Map<number, { attrs: AttentionAttrs; inputs: readonly Tensor[] }>();
  const outputs: Record<string, Tensor> = {};
  for (const n of new Set(wishes.flatMap(({ layers }) => layers))) {
    const { inputs, attrs } = taps.attentions.get(`blocks.${n}.attn`)!.node;
    attended.set(n, { inputs, attrs: attrs as AttentionAttrs });
    inputs.forEach((x, k) => outputs[`${n} ${k}`] = x);
  }
  return { wishes, samples, attended, outputs };
}

/** Compiles the forward pass whose attention is captured: the first samples of the evaluated split. */
export async function capturer(device: Device, experiment: Experiment): Promise<Capture> {
  const { config, architecture, source } = experiment;
  const { wishes, samples, attended, outputs } = captureGraph(experiment);
  const program = await device.compile({ outputs });
  const tokens = source.evaluation(config.eval.split).batch(0).ids.slice(0, samples * architecture.context);
  const matricesOf = (n: number, read: (name: string) => Values, wish: Wish) => {
    const call = attended.get(n)!;
    const values = call.inputs.map((_, i) => read(`${n} ${i}`));
    return matrices(contextOfCall(values, call), values[0] as Floats, values[1] as Floats, wish);
  };
  return {
    async at(step, folder) {
      const due = wishes.filter(({ every }) => step % every === 0);
      if (due.length === 0) return;
      reportProgress({ what: "capturing attention" });
      program.run({ ids: tokens });
      const names = Object.keys(outputs);
      const read = await program.read(names);
      const found: Record<string, TensorData> = {
        tokens: { dtype: "I32", shape: [samples, architecture.context], data: Int32Array.from(tokens) },
      };
      due.forEach((wish, n) => {
        const place = due.length > 1 ? `capture.${n}.` : "";
        for (const layer of wish.layers) {
          const { pattern, scores, shape } = matricesOf(layer, (name) => read[names.indexOf(name)], wish);
          found[`${place}blocks.${layer}.attn.pattern`] = { dtype: "F32", shape, data: pattern };
          found[`${place}blocks.${layer}.attn.scores`] = { dtype: "F32", shape, data: scores };
        }
        for (const name of ["heads", "queries"] as const) {
          const data = Int32Array.from(wish[name]);
          found[`${place}${name}`] = { dtype: "I32", shape: [data.length], data };
        }
      });
      const path = join(folder.path, "captures");
      await makeFolder(path);
      const bytes = encodeSafetensors(found, { format: "heed capture", step: String(step) });
      await writeFileAtomic(join(path, `${step}.safetensors`), bytes);
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}
