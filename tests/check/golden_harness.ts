// Shared by tests against golden numbers: the same graph on the float64 oracle and on WebGPU under both schedules.
import assert from "node:assert/strict";
import { referenceDevice } from "../../src/device/reference.ts";
import { type Case, evaluate, relativeError, webgpuDevices } from "../kernels/harness.ts";
import type { AttentionGolden } from "../golden/attention_golden.ts";

// The file keeps twelve digits and both sides are float64; float32 has kernels' own tolerances.
const ORACLE = { values: 1e-9, gradients: 1e-9 };
const FLOAT32 = { values: 1e-5, gradients: 1e-4 };

/**
 * Every output must equal the golden tensor of its name; gradients are those whose names begin with d. Errors are relative
 * to the tensor's norm, or to 0.1 for tensors that are smaller: what is left of terms of size 1 that cancel.
 */
export async function assertGolden(name: string, golden: AttentionGolden, testCase: Case): Promise<void> {
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await webgpuDevices()]) {
    const outputs = await evaluate(device, testCase);
    const tolerance = device.target ? FLOAT32 : ORACLE;
    for (const key of Object.keys(testCase.outputs)) {
      assert.equal(outputs[key].length, golden[key].data.length, `${name}: size of ${key}`);
      const error = relativeError(outputs[key], golden[key].data, 0.1);
      const allowed = key.startsWith("d") ? tolerance.gradients : tolerance.values;
      const where = `${name}, ${device.target?.kind ?? "oracle"}, ${key}`;
      assert.ok(error <= allowed, `${where}: relative error ${error}, allowed ${allowed}`);
    }
  }
}
