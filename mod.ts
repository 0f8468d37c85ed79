/**
 * heed: a toolkit for people who study attention. It trains small transformers with its own WGSL kernels on Deno's
 * WebGPU, tracks what happens inside at every step, and takes softmax and sigmoid attention apart.
 *
 * A model is a pure function of symbolic tensors. It runs once and leaves a graph; `grad` appends the backward pass;
 * a device plans, compiles and runs it.
 *
 * @example A gradient
 * ```ts
 * import { cpuDevice, grad, input, multiply, sumAll } from "./mod.ts";
 * const x = input("x", [3]);
 * const [dx] = grad(sumAll(multiply(x, x)), [x]);
 * using device = cpuDevice();
 * using program = await device.compile({ outputs: { dx } });
 * program.run({ x: Float32Array.of(1, 2, 3) });
 * console.log(await program.read(["dx"])); // 2, 4, 6
 * ```
 *
 * @example A training run
 * ```ts
 * import { loadConfig, train } from "./mod.ts";
 * const trained = await train(await loadConfig("default", ["train.steps=20", "sample.tokens=20"]));
 * console.log(trained?.folder.path);
 * ```
 *
 * @module
 */

// Graphs and devices
export * from "./src/graph/mod.ts";
export * from "./src/device/mod.ts";
// Operations
export * from "./kernels/mod.ts";
// Models, data, configurations, training, questions
export * from "./src/nn/mod.ts";
export * from "./src/data/mod.ts";
export * from "./src/config/mod.ts";
export * from "./src/runs/mod.ts";
export * from "./src/model/mod.ts";
export * from "./src/generate/mod.ts";
export * from "./src/track/mod.ts";
export * from "./src/train/mod.ts";
export * from "./src/check/mod.ts";
export * from "./src/jacobian/mod.ts";
export * from "./src/interpret/mod.ts";
// Logs and charts
export * from "./src/log/mod.ts";
export * from "./src/chart/mod.ts";
// Scripts
export * from "./src/cli/command.ts";
export * from "./src/cli/options.ts";
export { askedText, idsOption, TEXT_OPTIONS, withFirst } from "./src/cli/text_options.ts";
export * from "./src/base/errors.ts";
export type { KeyKinds, KeyValues } from "./src/base/keys.ts";
export {
  type Activity,
  endProgress,
  leadProgress,
  PROGRESS_MODES,
  type ProgressMode,
  reportProgress,
  showProgress,
} from "./src/base/progress.ts";
export { alignedRows, type TableOptions } from "./src/base/table.ts";
export { escapeControls, messageLine } from "./src/base/terminal.ts";
export type { UserCode } from "./src/base/user_code.ts";
export { type Interval, interval } from "./src/base/interval.ts";
export { exportsOf } from "./src/base/user_file.ts";
export { showBytes, showFlops, showSeconds, type TimeUnit, timeUnit } from "./src/base/units.ts";
export { VERSION } from "./src/base/version.ts";
export { writeStderr } from "./src/base/write.ts";
