// Opens a device by its name.
import { didYouMean, UserError } from "../base/errors.ts";
import { type ChoiceOptions, chooseDevice } from "./choose.ts";
import { type Device, DEVICE_CHOICES } from "./device.ts";
import type { Workload } from "./probe.ts";

/** Returns the kind of device that a name requests, or "auto"; throws UserError if the name is unknown. */
export function deviceChoice(name: string): typeof DEVICE_CHOICES[number] {
  const choice = DEVICE_CHOICES.find((known) => known === name);
  if (!choice) throw new UserError(`device: "${name}" is unknown.${didYouMean(name, DEVICE_CHOICES)}`);
  return choice;
}

/**
 * Opens a device by name; "auto" chooses as `chooseDevice` does, for the graphs that `work` returns (default: none).
 *
 * @throws {UserError} for an unknown name, and for "webgpu" without an adapter
 *
 * @example
 * ```ts
 * import { openDevice } from "../../mod.ts";
 * using device = await openDevice("cpu");
 * ```
 * @category Devices
 */
export async function openDevice(
  name: string,
  work: () => readonly Workload[] = () => [],
  options: ChoiceOptions = {},
): Promise<Device> {
  return (await chooseDevice(deviceChoice(name), work, options)).device;
}
