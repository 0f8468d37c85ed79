// The checkpoints of a run: functions that write the model and the optimizer's states, and that read the states back to
// resume training.
import { join } from "node:path";
import { showWritten } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import type { Device } from "../device/device.ts";
import { type Checkpoint, descriptionFiles, floats, readChecked, sealFiles } from "../model/checkpoint.ts";
import { decodeSafetensors, encodeSafetensors, type TensorData } from "../model/formats/safetensors.ts";
import { type Layout, readParameters, STATES, writeParameters } from "../model/layout.ts";
import type { Model } from "../model/model.ts";
import { type RunFolder, writeCheckpoint } from "../runs/run_folder.ts";
import type { RunState } from "../runs/run_state.ts";
import { optimizerStates } from "./optimizers.ts";

/**
 * Writes a checkpoint of a run atomically: model.safetensors, optimizer.safetensors, config.yaml, tokenizer.json, and
 * state.json with the hashes of the other files. Returns the hash of model.safetensors; if the parameters are not finite,
 * writes nothing and returns undefined.
 */
export async function saveCheckpoint(
  device: Device,
  run: RunFolder,
  model: Model,
  state: Omit<RunState, "files" | "device" | "device_kind" | "device_estimates" | "code">,
): Promise<string | undefined> {
  const tensors = async (name: string, prefix: string, { slots }: Pick<Layout, "slots">) => {
    const parameters = await readParameters(device, { slots }, name);
    return Object.entries(parameters).map(([key, { shape, data }]): [string, TensorData] => {
      return [`${prefix}${key}`, { dtype: "F32", shape: [...shape], data }];
    });
  };
  const parameters = await tensors(STATES.parameters, "", model.layout);
  if (!parameters.every(([, { data }]) => data.every(Number.isFinite))) return undefined;
  const optimizer: [string, TensorData][] = [];
  for (const part of optimizerStates(model.config.optimizer, model.layout)) {
    for (const tensor of await tensors(part.name, `${part.name}.`, part)) optimizer.push(tensor);
  }
  const { files, hashes } = sealFiles({
    "model.safetensors": encodeSafetensors(
      Object.fromEntries(parameters),
      { format: "heed", step: String(state.step) },
    ),
    "optimizer.safetensors": encodeSafetensors(Object.fromEntries(optimizer)),
    ...descriptionFiles(model),
  }, {
    ...state,
    device: device.adapter,
    device_kind: device.kind,
    ...(device.estimates ? { device_estimates: device.estimates } : {}),
    ...(model.code ? { code: model.code } : {}),
  });
  await writeCheckpoint(run, state.step, files);
  return hashes["model.safetensors"];
}

/** Puts a checkpoint's optimizer states on a device. */
export async function putOptimizer(device: Device, checkpoint: Checkpoint): Promise<void> {
  const { path, state } = checkpoint;
  defineOptimizer(device, checkpoint, await readChecked(path, "optimizer.safetensors", state));
}

/**
 * Uploads the optimizer states in `bytes`, the contents of optimizer.safetensors, to a device.
 *
 * @throws {UserError} if a tensor is missing or unknown, or if its shape differs from that of the optimizer state
 */
export function defineOptimizer(
  device: Pick<Device, "define">,
  { config, layout, path }: Pick<Checkpoint, "config" | "layout" | "path">,
  bytes: Uint8Array,
): void {
  const place = join(path, "optimizer.safetensors");
  const { tensors } = decodeSafetensors(bytes, place);
  const states = optimizerStates(config.optimizer, layout);
  const ofState = (key: string) => states.some(({ name }) => key.startsWith(`${name}.`));
  const extra = [...tensors.keys()].find((key) => !ofState(key));
  if (extra !== undefined) {
    throw new UserError(`${place}: tensor ${showWritten(extra)} is not a state of ${config.optimizer.name}.`);
  }
  for (const { name, slots } of states) {
    const prefix = `${name}.`;
    const stateTensors = [...tensors].filter(([key]) => key.startsWith(prefix)).map(([key, tensor]) => {
      return [key.slice(prefix.length), tensor] as [string, TensorData];
    });
    writeParameters(device, { slots, size: layout.size }, floats(stateTensors, place), place, name);
  }
}
