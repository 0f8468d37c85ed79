// Checkpoints: everything needed to resume a run or to use a model, in files with SHA-256 checksums.
import { checkState, type RunState } from "../runs/run_state.ts";
import { join } from "node:path";
import { checkFinite } from "./finite.ts";
import type { Device } from "../device/device.ts";
import { dumpConfig, parseConfig, resolveConfig } from "../config/mod.ts";
import { isMapping } from "../base/show.ts";
import { type Tokenizer, tokenizerFromJSON } from "../data/mod.ts";
import { atPlace, UserError } from "../base/errors.ts";
import { jsonOfBytes } from "../base/json.ts";
import { STEP_STATE } from "../nn/mod.ts";
import { loadModel, type Model } from "./model.ts";
import { bytesOf } from "./formats/model_folder.ts";
import { writeParameters } from "./layout.ts";
import { resolveRun } from "../runs/resolve_run.ts";
import { sha256Hex } from "../base/hash.ts";
import { decodeSafetensors, type TensorData, toFloat32 } from "./formats/safetensors.ts";
import { checkCode } from "./trust.ts";

/** A checkpoint in memory.
 * @category Models */
export interface Checkpoint extends Model {
  /** Folder of the checkpoint. */
  readonly path: string;
  /** State of the run when the checkpoint was saved. */
  readonly state: RunState;
  /** Parameters, keyed by name. */
  readonly tensors: ReadonlyMap<string, TensorData>;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Returns the text of state.json: the state as JSON, with the SHA-256 of this JSON added as the last field. */
function withHash(state: object): string {
  const text = JSON.stringify(state, null, 2);
  return `${text.slice(0, -2)},\n  "sha256": "${sha256Hex(text)}"\n}\n`;
}

/** Adds state.json, which holds the hashes of all other files, to the files of a checkpoint. */
export function sealFiles(
  files: Readonly<Record<string, Uint8Array>>,
  state: Omit<RunState, "files">,
): { files: Record<string, Uint8Array | string>; hashes: Record<string, string> } {
  const hashes = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, sha256Hex(bytes)]));
  return { files: { ...files, "state.json": withHash({ ...state, files: hashes }) }, hashes };
}

export function descriptionFiles(
  { config, tokenizer }: Pick<Model, "config" | "tokenizer">,
): Record<string, Uint8Array> {
  return {
    "config.yaml": encode(dumpConfig(config)),
    "tokenizer.json": encode(JSON.stringify(tokenizer, null, 1) + "\n"),
  };
}

/** Reads a file of a checkpoint; throws UserError if it is missing or a Git LFS pointer. */
export async function readPart(path: string, name: string): Promise<Uint8Array> {
  const bytes = await bytesOf(join(path, name));
  if (bytes) return bytes;
  throw new UserError(`${join(path, name)}: no such file; the checkpoint is incomplete.`);
}

export async function readState(path: string): Promise<RunState> {
  const place = join(path, "state.json");
  const bytes = await readPart(path, "state.json");
  const state = jsonOfBytes(bytes, place);
  const { sha256: _, ...rest } = isMapping(state) ? state : {};
  if (withHash(rest) !== new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)) {
    throw new UserError(`${place}: its SHA-256 differs from the one in its last line; the file is damaged.`);
  }
  checkState(place, rest);
  return rest;
}

export async function readChecked(path: string, name: string, state: RunState): Promise<Uint8Array> {
  const bytes = await readPart(path, name);
  const sha256 = sha256Hex(bytes);
  if (sha256 !== state.files[name]) {
    // Decoding a truncated safetensors file gives a more precise error than its hash.
    if (name.endsWith(".safetensors")) decodeSafetensors(bytes, join(path, name));
    throw new UserError(
      `${join(path, name)}: SHA-256 is ${sha256}, state.json says ${state.files[name]}; the file is damaged.`,
    );
  }
  return bytes;
}

/** Returns a checkpoint's configuration. Older checkpoints lack `model.head`; their head always used exact backpropagation. */
function savedConfig(source: Uint8Array, place: string): Record<string, unknown> {
  const { model, ...rest } = parseConfig(source, place);
  return { ...rest, model: isMapping(model) ? { head: { method: "bp" }, ...model } : model };
}

/** Decodes the files of a checkpoint without checking hashes or running code that the configuration names. */
export function decodeFiles(
  path: string,
  files: { config: Uint8Array; tokenizer: Uint8Array; model: Uint8Array },
) {
  const place = join(path, "config.yaml");
  const config = resolveConfig(savedConfig(files.config, place), { place, name: "checkpoint", saved: true });
  const { tensors } = decodeSafetensors(files.model, join(path, "model.safetensors"));
  return { config, tokenizer: readTokenizer(path, files.tokenizer), tensors };
}

function readTokenizer(path: string, bytes: Uint8Array): Tokenizer {
  const place = join(path, "tokenizer.json");
  return tokenizerAt(place, jsonOfBytes(bytes, place));
}

/** Builds the tokenizer from a parsed tokenizer.json; the message of a UserError starts with `place`, the path of the file. */
export const tokenizerAt = (place: string, file: unknown): Tokenizer =>
  atPlace(place, () => tokenizerFromJSON(file));

/**
 * Loads a checkpoint from its folder, or the last checkpoint of a run. Code files that its configuration references (hooks,
 * tasks, modifiers) run only if they are trusted: either files with the same contents were passed to `train` or `train
 * --trust` before, or this process has already imported the files.
 *
 * @param path a checkpoint folder, a run folder, `runs/latest` or the name of a run
 * @param options `acceptChanges`: trusted code may differ from the code that the checkpoint was saved with
 * @throws {UserError} if there is no checkpoint, a file is damaged or its hash differs from the recorded one, or a code file
 * is not trusted, has changed or is missing
 *
 * @example
 * ```ts
 * import { loadCheckpoint } from "../../mod.ts";
 * const { state, parameters } = await loadCheckpoint("runs/latest");
 * console.log(state.step, parameters);
 * ```
 * @category Models
 */
export async function loadCheckpoint(
  path: string,
  { acceptChanges }: { acceptChanges?: boolean } = {},
): Promise<Checkpoint> {
  const { checkpoint, state } = await stateOf(path);
  const [config, tokenizer, model] = await Promise.all(
    ["config.yaml", "tokenizer.json", "model.safetensors"].map((name) =>
      readChecked(checkpoint, name, state)
    ),
  );
  const decoded = decodeFiles(checkpoint, { config, tokenizer, model });
  await checkCode(checkpoint, decoded.config, state.code, acceptChanges);
  const loaded = await loadModel(decoded.config, decoded.tokenizer);
  return { ...loaded, tensors: decoded.tensors, path: checkpoint, state };
}

async function stateOf(path: string): Promise<{ checkpoint: string; state: RunState }> {
  const { checkpoint } = await resolveRun(path);
  if (!checkpoint) throw new UserError(`${path}: the run has no checkpoint yet.`);
  return { checkpoint, state: await readState(checkpoint) };
}

/** Loads the tokenizer of a run's last checkpoint without running user code. */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  const { checkpoint, state } = await stateOf(path);
  const bytes = await readChecked(checkpoint, "tokenizer.json", state);
  return readTokenizer(checkpoint, bytes);
}

const FLOATS: readonly string[] = ["F64", "F32", "F16", "BF16"];

/** Returns the tensors of a file as float32, converted from any floating-point dtype; throws UserError for any other dtype. */
export function floats(
  entries: Iterable<[string, TensorData]>,
  place: string,
): Map<string, { shape: number[]; data: Float32Array }> {
  return new Map(Array.from(entries, ([name, x]) => {
    if (FLOATS.includes(x.dtype)) return [name, { shape: x.shape, data: toFloat32(x) }];
    throw new UserError(`${place}: tensor ${name} is ${x.dtype}, expected one of ${FLOATS.join(", ")}.`);
  }));
}

/**
 * Uploads a checkpoint's parameters to a device.
 *
 * @throws {UserError} if a tensor is missing, is not in the model, or has a shape different from the model's
 */
export function putModel(
  device: Device,
  { layout, tensors, path, state }: Pick<Checkpoint, "layout" | "tensors" | "path"> & {
    state?: { step: number };
  },
): void {
  device.define(STEP_STATE, { shape: [1], dtype: "f32" }, Float32Array.of(state?.step ?? 0));
  const place = join(path, "model.safetensors");
  writeParameters(device, layout, floats(tensors, place), place);
}

/** Throws NotFiniteError if a parameter of a checkpoint is NaN or infinite. */
export function checkParameters({ tensors, path }: Pick<Checkpoint, "tensors" | "path">): void {
  for (const [name, tensor] of tensors) {
    if (FLOATS.includes(tensor.dtype)) {
      checkFinite(toFloat32(tensor), `${join(path, "model.safetensors")}: the values of ${name}`);
    }
  }
}
