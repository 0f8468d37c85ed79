// A run that begins with another's parameters (`train.from`): its experiment, and whether the parameters suit the model.
import { type Config, diffConfigs } from "../config/mod.ts";
import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { type Architecture, decoderParameters } from "../nn/mod.ts";
import { checkParameters, type Checkpoint, loadCheckpoint } from "../model/checkpoint.ts";
import { prepare } from "./experiment.ts";
import type { Experiment, Model } from "../model/model.ts";
import { type TensorData, toFloat32 } from "../model/formats/safetensors.ts";
import { checkRun } from "./sizes.ts";

/** A checkpoint's parameters as a model with a shorter context takes them: the rows of the first positions. */
function shortened(
  { architecture: { context, dim } }: Model,
  { tensors }: Checkpoint,
): ReadonlyMap<string, TensorData> {
  const rows = tensors.get("pos_embed.weight");
  if (!rows || rows.shape[0] <= context || rows.shape[1] !== dim) return tensors;
  const data = toFloat32(rows).subarray(0, context * dim);
  return new Map(tensors).set("pos_embed.weight", { dtype: "F32", shape: [context, dim], data });
}

/** A record with the value of a path in it exchanged. */
function exchanged(record: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  const copy = (Array.isArray(record) ? [...record] : { ...record as object }) as Record<string, unknown>;
  copy[key] = rest.length ? exchanged(copy[key], rest, value) : value;
  return copy;
}

/** Whether the model would have a tensor as the checkpoint has it, were one key as there. */
function explains(
  architecture: Architecture,
  key: string,
  value: unknown,
  name: string,
  shape?: string,
): boolean {
  try {
    const other = exchanged(architecture, key.split("."), value) as Architecture;
    return decoderParameters(other).find((parameter) => parameter.name === name)?.shape.join() === shape;
  } catch {
    return false; // A key that needs another to go with it.
  }
}

/** Keys that a message names. */
const MOST_KEYS = 4;

/** "model.dim is 32 here and 64 there" for the keys that make a tensor another than the checkpoint's; all that differ where no one does alone. */
function reasons({ config, architecture }: Model, base: Checkpoint, name: string): string {
  const shape = base.tensors.get(name)?.shape.join();
  // A key that is not here is told by the one that it would be part of: `blocks`, an empty list.
  const differing = diffConfigs(config.model, base.config.model).filter(({ a }) => a !== undefined)
    // A vocabulary that is left open is the tokenizer's.
    .map((entry) => entry.key === "vocabulary" ? { ...entry, b: base.architecture.vocabulary } : entry);
  const alone = differing.filter(({ key, b }) => explains(architecture, key, b, name, shape));
  const told = (alone.length ? alone : differing).slice(0, MOST_KEYS);
  return told.map(({ key, a, b }) =>
    `model.${key} is ${describeValue(a)} here and ${b === undefined ? "not" : describeValue(b)} there`
  ).join(", ");
}

/** Throws at the first parameter that the checkpoint has not, has otherwise, or has alone, naming the keys to change. */
function checkStart(model: Model, base: Checkpoint, tensors: ReadonlyMap<string, TensorData>): void {
  const own = new Map(model.layout.slots.map(({ name, shape }) => [name, shape]));
  const differs = (name: string) => tensors.get(name)?.shape.join() !== own.get(name)?.join();
  const name = [...own.keys(), ...tensors.keys()].find(differs);
  if (name === undefined) return;
  const told = (shape: readonly number[] | undefined) => shape ? `[${shape.join(", ")}]` : "not there";
  throw new UserError(
    `train.from: tensor ${name} is ${told(base.tensors.get(name)?.shape)} in ${base.path} and ` +
      `${told(own.get(name))} in this model: ${reasons(model, base, name)}.`,
  );
}

/** Throws where the sample at a run's end would: better now than after the training. */
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
 * What a configuration describes, with `train.from` that run's tokenizer and parameters.
 *
 * @throws {UserError} as `prepare` does, where `sample.prompt` cannot be continued, and where the other run's parameters
 * are not those of this model: the first tensor, both shapes, and the key to change
 *
 * @example
 * ```ts
 * import { experimentOf, loadConfig } from "../../mod.ts";
 * const { start } = await experimentOf(await loadConfig("copy", []));
 * console.log(start?.path ?? "fresh parameters"); // with train.from=runs/latest that run's
 * ```
 * @category Training
 */
export async function experimentOf(config: Config): Promise<Experiment> {
  checkRun(config);
  const base = config.train.from === null ? undefined : await loadCheckpoint(config.train.from);
  if (base) checkParameters(base);
  const own = base ? { ...config, tokenizer: base.config.tokenizer } : config;
  const experiment = await prepare(own, base?.tokenizer);
  checkSample(experiment);
  if (!base) return experiment;
  const tensors = shortened(experiment, base);
  checkStart(experiment, base, tensors);
  return { ...experiment, start: { path: base.path, tensors } };
}
