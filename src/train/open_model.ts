// A trained model on an open device: where every question that is asked of one begins.
import type { Generator } from "../analysis/next_logits.ts";
import type { Device } from "../device/device.ts";
import { openDevice } from "../device/open.ts";
import { type Checkpoint, loadCheckpoint, putModel } from "./checkpoint.ts";
import { generatorOf } from "./experiment.ts";
import { costOf } from "./train.ts";

/** A model, and the device that holds its parameters. */
export interface OpenModel extends Disposable {
  /** What was loaded. */
  readonly checkpoint: Checkpoint;
  /** Open until this is closed. */
  readonly device: Device;
  /** The model as generation and analysis take it. */
  readonly model: Generator;
}

/** What will be asked of a model, for the choice of the device. */
export interface Work {
  /** "auto", "webgpu" or "cpu"; the configuration's where it is left out. */
  readonly device?: string;
  /** Forward passes. */
  readonly passes: number;
  /** Positions of each; the model's context where it is left out. */
  readonly positions?: number;
}

/**
 * Loads a model and puts it on a device that suits the work.
 *
 * @param given a checkpoint folder, a run folder, `runs/latest` or the name of a run; or a checkpoint that was loaded
 * @throws {UserError} where there is none, it is damaged, or the device is not there
 *
 * @example
 * ```ts
 * import { generate, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 20 });
 * const options = { prompt: "The ", tokens: 20, temperature: 0, seed: 1 };
 * console.log(await generate(opened.device, opened.model, options));
 * ```
 */
export async function openModel(
  given: string | Checkpoint,
  { device: wanted, passes, positions }: Work,
): Promise<OpenModel> {
  const checkpoint = typeof given === "string" ? await loadCheckpoint(given) : given;
  const { config } = checkpoint;
  const { flops, dispatches } = costOf(checkpoint);
  // A forward pass is a third of a step.
  const { train: { batch, accumulate }, model: { context } } = config;
  const cost = {
    flops: flops / (3 * batch * accumulate) * (positions ?? context) / context,
    dispatches,
    steps: passes,
  };
  const device = await openDevice(wanted ?? config.device, cost);
  try {
    putModel(device, checkpoint);
  } catch (error) {
    device[Symbol.dispose]();
    throw error;
  }
  return {
    checkpoint,
    device,
    model: generatorOf(checkpoint),
    [Symbol.dispose]: () => device[Symbol.dispose](),
  };
}
