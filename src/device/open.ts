// A device by the name that a person gives.
import { didYouMean, UserError } from "../base/errors.ts";
import { chooseDevice } from "./choose.ts";
import { type Device, DEVICE_CHOICES } from "./device.ts";
import type { Workload } from "./estimate.ts";

/**
 * Opens a device by name; "auto" chooses as `chooseDevice` does, by what will be computed (default: nothing, which suits the CPU).
 *
 * @throws {UserError} for an unknown name, and for "webgpu" where there is no adapter
 *
 * @example
 * ```ts
 * import { openDevice } from "../../mod.ts";
 * using device = await openDevice("cpu");
 * ```
 * @category Devices
 */
export async function openDevice(name: string, work: () => readonly Workload[] = () => []): Promise<Device> {
  const wanted = DEVICE_CHOICES.find((known) => known === name);
  if (!wanted) throw new UserError(`device: "${name}" is unknown.${didYouMean(name, DEVICE_CHOICES)}`);
  return (await chooseDevice(wanted, work)).device;
}
