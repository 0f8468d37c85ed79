// Names each pipeline for isa_layer.c, and writes its WGSL beside the layer's files. Imported before anything opens a
// device, or preloaded: `deno run -A --preload bench/isa/isa_hooks.ts scripts/train.ts ...`. $ISA_DIR is the folder.

/** Where the layer writes. */
export const FOLDER: string = Deno.env.get("ISA_DIR")!;

/** A pipeline's number in the folder, and its label without the path in the model. */
export interface NamedPipeline {
  readonly file: string;
  readonly label: string;
}
/** The pipelines created so far. */
export const pipelines: WeakMap<object, NamedPipeline> = new WeakMap();

const codes = new WeakMap<object, string>();
const { createShaderModule, createComputePipeline } = GPUDevice.prototype;

GPUDevice.prototype.createShaderModule = function (descriptor) {
  const module = createShaderModule.call(this, descriptor);
  codes.set(module, descriptor.code);
  return module;
};
GPUDevice.prototype.createComputePipeline = function (descriptor) {
  const label = (descriptor.label ?? "").split(" at ")[0] || "?";
  const written = [...Deno.readDirSync(FOLDER)].filter(({ name }) => name.endsWith(".label"));
  const file = String(written.length).padStart(4, "0");
  Deno.writeTextFileSync(`${FOLDER}/label`, `${label}\n`);
  const pipeline = createComputePipeline.call(this, descriptor);
  Deno.writeTextFileSync(`${FOLDER}/${file}.wgsl`, codes.get(descriptor.compute.module)!);
  Deno.removeSync(`${FOLDER}/label`);
  pipelines.set(pipeline, { file, label });
  return pipeline;
};
