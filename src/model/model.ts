// A model built from a configuration: architecture, tokenizer and parameter layout.
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

/** The parts of a model that generation and analysis use.
 * @category Models */
export interface LanguageModel {
  /** Its sizes, and the options of its layers. */
  readonly architecture: Architecture;
  /** Converts between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Parameters, keyed by name, as tensors whose values are on the device. */
  readonly parameters: Parameters;
}

/** A model without the values of its parameters, built from a configuration and a tokenizer. */
export interface Model {
  /** Its resolved configuration. */
  readonly config: Config;
  /** Converts between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Its sizes, and the options of its layers. */
  readonly architecture: Architecture;
  /** Offsets of its parameters in flat storage. */
  readonly layout: Layout;
  /** Number of trainable parameters. */
  readonly parameters: number;
  /** The user's hooks. */
  readonly hooks?: LoadedHooks;
  /** The user's code files that its configuration names, with their hashes; absent if there are none. */
  readonly code?: readonly CodeFile[];
}

/** A model and its data.
 * @category Training */
export interface Experiment extends Model {
  /** The source of its batches. */
  readonly source: Source;
  /**
   * Unigram entropy of the text in nats per token: the lowest loss of a model that ignores context. Undefined for data other
   * than text.
   */
  readonly unigramNats: number | undefined;
  /** SHA-256 that identifies its data. */
  readonly dataSha256: string;
  /** Initial parameters (`train.from`) and their path. Default: parameters are initialised from the seed. */
  readonly start?: { readonly path: string; readonly tensors: ReadonlyMap<string, TensorData> };
}

/**
 * Returns the model that a configuration and a tokenizer describe. If it has hooks or user-defined modifiers, use
 * `loadModel`.
 */
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

/** Like {@link modelOf}, but also loads modifiers and hooks from the user's files that the configuration names. */
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

/** Like {@link modelOf}, but runs none of the user's files and omits what they add to the model. */
export function modelWithoutCode(config: Config, tokenizer: Tokenizer): Model {
  return modelOf(config, tokenizer, withoutModifiers(architectureOf(config.model, tokenizer.size)));
}

/** Returns the parts of a model that generation uses. The parameters' values are those on the device.
 * @category Training */
export function languageModelOf({ architecture, tokenizer, layout }: Model): LanguageModel {
  return { architecture, tokenizer, parameters: parameterViews(layout, flat(layout)) };
}
