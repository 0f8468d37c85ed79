// Loads the model and the data of a configuration.
import type { Config } from "../config/mod.ts";
import { loadData, type LoadDataOptions, type Tokenizer } from "../data/mod.ts";
import { type Experiment, loadModel } from "../model/model.ts";
import { checkFreeze } from "./freeze.ts";

/**
 * Loads the data of a configuration and describes its model.
 *
 * @param config the resolved configuration
 * @param tokenizer a checkpoint's tokenizer. Default: the tokenizer that the configuration describes
 * @param identified a function that is called with the data's SHA-256 before tokenization; if it throws, so does `prepare`
 * @throws {UserError} if the data cannot be loaded or does not suit the model, or if an entry of `train.freeze` matches no
 * parameter or all parameters are frozen
 *
 * @example
 * ```ts
 * import { loadConfig, prepare } from "../../mod.ts";
 * const { parameters, source } = await prepare(await loadConfig("copy", []));
 * console.log(parameters, source.train(0).ids.length);
 * ```
 * @category Training
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
