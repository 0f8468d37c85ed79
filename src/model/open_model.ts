// Opens a trained model on a device: the first step of generation and every analysis.
import { type LanguageModel, languageModelOf } from "./model.ts";
import type { Device } from "../device/device.ts";
import { openDevice } from "../device/open.ts";
import { checkParameters, type Checkpoint, loadCheckpoint, putModel } from "./checkpoint.ts";
import { forwardWork, type Passes } from "./passes.ts";

/** A model, and the device that holds its parameters.
 * @category Models */
export interface OpenModel extends Disposable {
  /** The loaded checkpoint. */
  readonly checkpoint: Checkpoint;
  /** The device, which is closed when this object is disposed. */
  readonly device: Device;
  /** The parts of the model that generation and analysis use. */
  readonly model: LanguageModel;
}

/** The device, and the expected number of forward passes, by which "auto" chooses the device. */
export interface OpenModelOptions extends Passes {
  /** "auto", "webgpu", "cpu" or "reference". Default: `device` of the configuration. */
  readonly device?: string;
}

/**
 * Loads a model and uploads its parameters to a device. If the device is "auto", it is chosen by the expected work.
 *
 * @param source a checkpoint folder, a run folder, `runs/latest` or the name of a run; or a loaded checkpoint
 * @throws {UserError} if there is no checkpoint, it is damaged, its parameters are not finite, or the device is not available
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
  source: string | Checkpoint,
  { device: override, ...passes }: OpenModelOptions,
): Promise<OpenModel> {
  const checkpoint = typeof source === "string" ? await loadCheckpoint(source) : source;
  checkParameters(checkpoint);
  const { config } = checkpoint;
  const device = await openDevice(override ?? config.device, () => forwardWork(checkpoint, passes));
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
