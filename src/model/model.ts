// A model: its architecture, its tokenizer and where its parameters lie, from a configuration.
import type { Config } from "../config/mod.ts";
import type { Source, Tokenizer } from "../data/mod.ts";
import { architectureOf, decoderParameters, loadModifiers, parameterCount } from "../nn/mod.ts";
import type { Architecture, Parameters } from "../nn/mod.ts";
import { withoutModifiers } from "../nn/user_modifier.ts";
import type { CodeFile } from "../runs/run_state.ts";
import type { TensorData } from "./formats/safetensors.ts";
import { forwardHooks, type LoadedHooks, loadHooks } from "./hooks.ts";
import { flat, type Layout, layout, parameterViews } from "./layout.ts";
import { checkModel } from "./sizes.ts";
import { codeFiles } from "./trust.ts";

/** A model as generation and analysis need it.
 * @category Models */
export interface LanguageModel {
  /** Its shape. */
  readonly architecture: Architecture;
  /** Between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Parameters by name, on tensors whose states are on the device. */
  readonly parameters: Parameters;
}

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

/** A model and its data.
 * @category Training */
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

/** The model as generation needs it: its parameters are those on the device.
 * @category Training */
export function languageModelOf({ architecture, tokenizer, layout }: Model): LanguageModel {
  return { architecture, tokenizer, parameters: parameterViews(layout, flat(layout)) };
}
