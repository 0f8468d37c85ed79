// Runs that start from another run's parameters (`train.from`): the experiment, and a check that the parameters fit.
import { type Config, diffConfigs } from "../config/mod.ts";
import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { type Architecture, decoderParameters } from "../nn/mod.ts";
import { checkParameters, type Checkpoint, loadCheckpoint } from "../model/checkpoint.ts";
import { prepare } from "./experiment.ts";
import type { Experiment, Model } from "../model/model.ts";
import { type TensorData, toFloat32 } from "../model/formats/safetensors.ts";
import { checkRun } from "./sizes.ts";

/**
 * Returns a checkpoint's parameters. If the model's context is shorter than the checkpoint's, only the first `context`
 * learned position embeddings are kept.
 */
function shortened(
  { architecture: { context, dim } }: Model,
  { tensors }: Checkpoint,
): ReadonlyMap<string, TensorData> {
  const rows = tensors.get("pos_embed.weight");
  if (!rows || rows.shape[0] <= context || rows.shape[1] !== dim) return tensors;
  const data = toFloat32(rows).subarray(0, context * dim);
  return new Map(tensors).set("pos_embed.weight", { dtype: "F32", shape: [context, dim], data });
}

/** Returns a copy of a record in which the value at a path is replaced. */
function replaced(record: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  const copy = (Array.isArray(record) ? [...record] : { ...record as object }) as Record<string, unknown>;
  copy[key] = rest.length ? replaced(copy[key], rest, value) : value;
  return copy;
}

/** Returns true if changing only `key` to the checkpoint's value would give the tensor `name` the shape that it has there. */
function explains(
  architecture: Architecture,
  key: string,
  value: unknown,
  name: string,
  shape?: string,
): boolean {
  try {
    const other = replaced(architecture, key.split("."), value) as Architecture;
    return decoderParameters(other).find((parameter) => parameter.name === name)?.shape.join() === shape;
  } catch {
    return false; // If only this key changes, the architecture is invalid.
  }
}

/** Maximum number of keys in a message. */
const MAX_KEYS = 4;

/**
 * Returns text such as "model.dim is 32 here and 64 there" for every key whose difference alone explains a tensor's shape; if
 * there is no such key, for all keys that differ. It names at most `MAX_KEYS` keys.
 */
function reasons({ config, architecture }: Model, base: Checkpoint, name: string): string {
  const shape = base.tensors.get(name)?.shape.join();
  // A key that only the checkpoint has is left out, because its parent, such as `blocks` (here an empty list), differs too.
  const differing = diffConfigs(config.model, base.config.model).filter(({ a }) => a !== undefined)
    // A checkpoint without the key `vocabulary` takes it from its tokenizer.
    .map((entry) => entry.key === "vocabulary" ? { ...entry, b: base.architecture.vocabulary } : entry);
  const alone = differing.filter(({ key, b }) => explains(architecture, key, b, name, shape));
  const shown = (alone.length ? alone : differing).slice(0, MAX_KEYS);
  return shown.map(({ key, a, b }) =>
    `model.${key} is ${describeValue(a)} here and ${b === undefined ? "missing" : describeValue(b)} there`
  ).join(", ");
}

/**
 * Throws UserError for the first parameter that the checkpoint lacks, that only the checkpoint has, or that has another shape
 * there. The message names the keys to change.
 */
function checkStart(model: Model, base: Checkpoint, tensors: ReadonlyMap<string, TensorData>): void {
  const shapes = new Map(model.layout.slots.map(({ name, shape }) => [name, shape]));
  const differs = (name: string) => tensors.get(name)?.shape.join() !== shapes.get(name)?.join();
  const name = [...shapes.keys(), ...tensors.keys()].find(differs);
  if (name === undefined) return;
  const shapeText = (shape: readonly number[] | undefined) => shape ? `[${shape.join(", ")}]` : "missing";
  throw new UserError(
    `train.from: tensor ${name} is ${shapeText(base.tensors.get(name)?.shape)} in ${base.path} and ` +
      `${shapeText(shapes.get(name))} in this model: ${reasons(model, base, name)}.`,
  );
}

/** Throws before training if the sample at the end of the run would fail. */
function checkSample({ config: { sample: { prompt, tokens } }, tokenizer }: Experiment): void {
  if (tokens === 0) return;
  let ids: ArrayLike<number>;
  try {
    ids = tokenizer.encode(prompt);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`sample.prompt: ${error.message}`) : error;
  }
  if (ids.length > 0 || (prompt === "" && tokenizer.first !== undefined)) return;
  const expected = tokenizer.kind === "ids" ? "ids separated by spaces" : "at least one character";
  throw new UserError(
    `sample.prompt: ${
      describeValue(prompt)
    } has no token, expected ${expected}, or sample.tokens=0 for no sample.`,
  );
}

/**
 * Loads the experiment of a configuration. The tokenizer and the initial parameters are those of `train.from`, if it is set.
 *
 * @throws {UserError} for the errors of `prepare`; if `sample.prompt` cannot be encoded or has no token; or if the other run's
 * parameters do not fit this model (the message names the first such tensor, both shapes, and the key to change)
 *
 * @example
 * ```ts
 * import { experimentOf, loadConfig } from "../../mod.ts";
 * const { start } = await experimentOf(await loadConfig("copy", []));
 * console.log(start?.path ?? "fresh parameters"); // with train.from=runs/latest, the path of its checkpoint
 * ```
 * @category Training
 */
export async function experimentOf(config: Config): Promise<Experiment> {
  checkRun(config);
  const base = config.train.from === null ? undefined : await loadCheckpoint(config.train.from);
  if (base) checkParameters(base);
  const merged = base ? { ...config, tokenizer: base.config.tokenizer } : config;
  const experiment = await prepare(merged, base?.tokenizer);
  checkSample(experiment);
  if (!base) return experiment;
  const tensors = shortened(experiment, base);
  checkStart(experiment, base, tensors);
  return { ...experiment, start: { path: base.path, tensors } };
}
