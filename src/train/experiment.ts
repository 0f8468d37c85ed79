// From a configuration to what a run needs: text, tokenizer, batches, the model's shape and its layout.
import type { LanguageModel } from "../generate/next_logits.ts";
import type { Config } from "../config/mod.ts";
import { loadData, type LoadDataOptions, type Source, type Tokenizer } from "../data/mod.ts";
import {
  type Architecture,
  architectureOf,
  decoderParameters,
  loadModifiers,
  parameterCount,
} from "../nn/mod.ts";
import { withoutModifiers } from "../nn/user_modifier.ts";
import { checkFreeze } from "./freeze.ts";
import { forwardHooks, type LoadedHooks, loadHooks } from "../model/hooks.ts";
import { flat, type Layout, layout, parameterViews } from "../model/layout.ts";
import type { TensorData } from "../model/formats/safetensors.ts";
import { checkModel } from "./sizes.ts";
import { type CodeFile, codeFiles } from "../model/trust.ts";

/** A model with its tokenizer: what a checkpoint holds. */
export interface Model {
  /** Resolved. */
  readonly config: Config;
  /** Between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Its shape. */
  readonly architecture: Architecture;
  /** Where its parameters lie. */
  readonly layout: Layout;
  /** Number of trained values. */
  readonly parameters: number;
  /** What a user's own file does to it and to its training. */
  readonly hooks?: LoadedHooks;
  /** The user's files that it runs, with their hashes; absent where it runs none. */
  readonly code?: readonly CodeFile[];
}

/** A model and its data. */
export interface Experiment extends Model {
  /** Its batches. */
  readonly source: Source;
  /** Entropy of the token frequencies of a text, in nats: what a model without context can reach. */
  readonly unigramNats: number | undefined;
  /** SHA-256 that tells its data from other data. */
  readonly dataSha256: string;
  /** What its parameters are before the first step (`train.from`), and where they are from; fresh ones without it. */
  readonly start?: { readonly path: string; readonly tensors: ReadonlyMap<string, TensorData> };
}

/** The model that a configuration and a tokenizer describe. One with a user's own modifiers: see `loadModel`. */
export function modelOf(
  config: Config,
  tokenizer: Tokenizer,
  architecture: Architecture = architectureOf(config.model, tokenizer.size),
): Model {
  checkModel(config, architecture);
  const parameters = decoderParameters(architecture);
  return {
    config,
    tokenizer,
    architecture,
    layout: layout(parameters),
    parameters: parameterCount(parameters),
  };
}

/** The same, with the modifiers and hooks loaded that its configuration names in files of the user's. */
export async function loadModel(config: Config, tokenizer: Tokenizer): Promise<Model> {
  const hooks = await loadHooks(config);
  const architecture = await loadModifiers(architectureOf(config.model, tokenizer.size));
  const code = await codeFiles(config);
  return {
    ...modelOf(config, tokenizer, { ...architecture, hooks: forwardHooks(hooks) }),
    hooks,
    ...(code.length ? { code } : {}),
  };
}

/** The same without the user's files, none of which is run: what they add to the model is not there. */
export function modelWithoutCode(config: Config, tokenizer: Tokenizer): Model {
  return modelOf(config, tokenizer, withoutModifiers(architectureOf(config.model, tokenizer.size)));
}

/** The model as generation needs it: its parameters are those on the device. */
export function generatorOf({ architecture, tokenizer, layout }: Model): LanguageModel {
  return { architecture, tokenizer, parameters: parameterViews(layout, flat(layout)) };
}

/**
 * Loads the data of a configuration and describes its model.
 *
 * @param config resolved
 * @param tokenizer a checkpoint's, where there is one; else made from the text
 * @param identified called with the data's SHA-256 before the data becomes tokens; it may throw
 * @throws {UserError} where the data cannot be had or does not suit the model, or `train.freeze` matches nothing
 *
 * @example
 * ```ts
 * import { loadConfig, prepare } from "../../mod.ts";
 * const { parameters, source } = await prepare(await loadConfig("copy", []));
 * console.log(parameters, source.train(0).ids.length);
 * ```
 */
export async function prepare(
  config: Config,
  tokenizer?: Tokenizer,
  identified?: (sha256: string) => void,
): Promise<Experiment> {
  const experiment = await withData(config, { tokenizer, identified });
  checkFreeze(experiment);
  return experiment;
}

async function withData(config: Config, options: LoadDataOptions): Promise<Experiment> {
  const { data, model, train, seed } = config;
  const sizes = { context: model.context, batch: train.batch, accumulate: train.accumulate, seed };
  const { tokenizer, source, unigramNats, sha256 } = await loadData(data, config.tokenizer, sizes, options);
  return { ...await loadModel(config, tokenizer), source, unigramNats, dataSha256: sha256 };
}
