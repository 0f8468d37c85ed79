// A trained model on an open device: where every question that is asked of one begins.
import { type LanguageModel, languageModelOf } from "./model.ts";
import type { Device } from "../device/device.ts";
import { openDevice } from "../device/open.ts";
import { checkParameters, type Checkpoint, loadCheckpoint, putModel } from "./checkpoint.ts";
import { forwardWork, type Passes } from "./passes.ts";

/** A model, and the device that holds its parameters.
 * @category Models */
export interface OpenModel extends Disposable {
  /** What was loaded. */
  readonly checkpoint: Checkpoint;
  /** Open until this is closed. */
  readonly device: Device;
  /** The model as generation and analysis take it. */
  readonly model: LanguageModel;
}

/** What will be asked of a model, for the choice of the device. */
export interface OpenModelOptions extends Passes {
  /** "auto", "webgpu" or "cpu". Default: the configuration's. */
  readonly device?: string;
}

/**
 * Loads a model and puts it on a device that suits the work.
 *
 * @param given a checkpoint folder, a run folder, `runs/latest` or the name of a run; or a checkpoint that was loaded
 * @throws {UserError} where there is none, it is damaged, its parameters are not finite, or the device is not there
 *
 * @example
 * ```ts
 * import { generate, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 20 });
 * const options = { prompt: "The ", tokens: 20, temperature: 0, seed: 1 };
 * console.log(await generate(opened.device, opened.model, options));
 * ```
 * @category Models
 */
export async function openModel(
  given: string | Checkpoint,
  { device: wanted, ...passes }: OpenModelOptions,
): Promise<OpenModel> {
  const checkpoint = typeof given === "string" ? await loadCheckpoint(given) : given;
  checkParameters(checkpoint);
  const { config } = checkpoint;
  const device = await openDevice(wanted ?? config.device, () => forwardWork(checkpoint, passes));
  try {
    putModel(device, checkpoint);
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
  return {
    checkpoint,
    device,
    model: languageModelOf(checkpoint),
    [Symbol.dispose]: () => device[Symbol.dispose](),
  };
}
