// Verifies that a checkpoint loads with the values that were saved. Each check gives one line of output.
import { join } from "node:path";
import { randomStream } from "../base/random.ts";
import { positionsFitting } from "../model/passes.ts";
import { dumpConfig, parseConfig, resolveConfig } from "../config/mod.ts";
import { type Tokenizer, UNKNOWN } from "../data/tokenizer.ts";
import type { Device } from "../device/device.ts";
import { isReference } from "../device/reference.ts";
import { UserError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import { changesOf } from "./changes.ts";
import { checkParameters, decodeFiles, putModel, readPart, readState } from "../model/checkpoint.ts";
import { defineOptimizer } from "./save.ts";
import type { RunState } from "../runs/run_state.ts";
import { evaluator } from "./evaluate.ts";
import { prepare } from "./experiment.ts";
import { type Model, modelWithoutCode } from "../model/model.ts";
import { logFault, runOfCheckpoint, scanLog } from "./log_check.ts";
import { logitsGraph } from "./step_graph.ts";
import { sha256Hex } from "../base/hash.ts";
import type { TensorData } from "../model/formats/safetensors.ts";
import { codeStatus } from "../model/trust.ts";

/** The result of one check. */
export interface Check {
  /** What is checked. */
  readonly name: string;
  /** Whether it passed. */
  readonly passed: boolean;
  /** The measured values, or why it failed. */
  readonly detail: string;
  /** True if the check was skipped because it needs user code, which is never run here; `passed` is then true. */
  readonly skipped?: true;
}

type Loaded = Model & { tensors: ReadonlyMap<string, TensorData> };

/** Which checks depend on a user's code. */
interface NeedsCode {
  /** True if the logits depend on user code: on hooks or modifiers. */
  readonly logits: boolean;
  /** True if the loss depends on user code, because the logits do or because a user's task generates the samples. */
  readonly loss: boolean;
}

const FILES = ["model.safetensors", "optimizer.safetensors", "config.yaml", "tokenizer.json"];

/** Runs a check. A UserError fails the check; other errors are thrown. */
async function check(name: string, ask: () => Promise<string> | string): Promise<Check> {
  reportProgress({ what: `checking ${name}` });
  try {
    return { name, passed: true, detail: await ask() };
  } catch (error) {
    if (error instanceof UserError) return { name, passed: false, detail: error.message };
    throw error;
  }
}

function demand(condition: boolean, message: string): void {
  if (!condition) throw new UserError(message);
}

/** Values of tensors and logits, 64-bit integers included. */
type Numbers = ArrayLike<number | bigint>;

function sameBits(a: Numbers, b: Numbers): boolean {
  // Nothing is copied, because an embedding has tens of millions of values.
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return a.length === b.length;
}

async function load(path: string): Promise<Loaded> {
  const [config, tokenizer, model] = await Promise.all(
    ["config.yaml", "tokenizer.json", "model.safetensors"].map((name) => readPart(path, name)),
  );
  const decoded = decodeFiles(path, { config, tokenizer, model });
  return { ...modelWithoutCode(decoded.config, decoded.tokenizer), tensors: decoded.tensors };
}

function needsCode({ config: { hooks, data, model } }: Loaded): NeedsCode {
  const modified = [model.block, ...model.blocks ?? []].some((block) => block.attention.modifier !== null);
  const logits = hooks.file !== null || modified;
  return { logits, loss: logits || data.files.length === 0 && data.tasks !== null };
}

/** Checks the hashes of the code files that a checkpoint names. The code is not run. */
async function codeChecks({ config }: Loaded, { code: sealed }: RunState): Promise<Check[]> {
  const standings = await codeStatus(config, sealed);
  return await Promise.all(standings.map(({ file, code, sealed }) =>
    check(`code ${file}`, () => {
      demand(
        code !== undefined,
        `not run; it is missing, expected SHA-256 ${sealed ?? "(none is recorded)"}`,
      );
      demand(
        sealed === undefined || sealed === code!.sha256,
        `not run; SHA-256 is ${code!.sha256}, state.json says ${sealed}`,
      );
      return `not run; SHA-256 ${code!.sha256.slice(0, 16)}${sealed ? "" : ", state.json has no hash of it"}`;
    })
  ));
}

/** Returns the number of positions at the end of each row whose logits are compared: as many as the device has memory for. */
function positionsCompared(device: Device, { architecture: { context, vocabulary } }: Loaded): number {
  return Math.min(context, Math.max(1, Math.floor(positionsFitting(device, vocabulary) / 2)));
}

/** Puts the parameters on the device, and returns the logits of `ids` at the last positions. */
async function logitsOf(
  device: Device,
  path: string,
  model: Loaded,
  ids: Uint32Array,
  state: RunState,
): Promise<ArrayLike<number>> {
  putModel(device, { ...model, path, state });
  const { architecture, layout } = model;
  const graph = logitsGraph(architecture, layout, 2, architecture.context, positionsCompared(device, model));
  using program = await device.compile(graph);
  program.run({ ids });
  return (await program.read(["logits"]))[0];
}

function hashes(path: string, state: RunState): Promise<Check>[] {
  // An imported model has no optimizer states.
  const there = FILES.filter((name) => name !== "optimizer.safetensors" || name in state.files);
  return there.map((name) =>
    check(`hash of ${name}`, async () => {
      const hash = sha256Hex(await readPart(path, name));
      demand(hash === state.files[name], `SHA-256 is ${hash}, state.json says ${state.files[name]}`);
      return hash.slice(0, 16);
    })
  );
}

/** Checks that the run's log has the records that the checkpoint was saved with. */
function logIsWhole(path: string, state: RunState): Promise<Check> {
  return check("log", async () => {
    const run = runOfCheckpoint(path);
    if (!run) return "the checkpoint is outside a run";
    const { step, log } = state;
    const fault = logFault(await scanLog(run.log, log ? [log.records] : []), state);
    demand(fault === undefined, fault!);
    return log
      ? `${log.records} records, ${log.sha256.slice(0, 16)}`
      : `the records of ${step} steps; the checkpoint has no hash of the log`;
  });
}

/** Whether a tokenizer may change a text before splitting it, as Hugging Face normalizers do. */
function normalises(tokenizer: Tokenizer): boolean {
  const file = tokenizer.toJSON();
  return (file.kind === "cropped" ? file.of : file).kind === "huggingface";
}

/**
 * Returns the number of tokens whose text changes when it is encoded and decoded again. Partial characters and `<unk>` are
 * not counted.
 */
function tokensLost(tokenizer: Tokenizer): number {
  const comesBack = (text: string) => {
    try {
      return tokenizer.decode(tokenizer.encode(text)) === text;
    } catch (error) {
      if (error instanceof UserError) return false;
      throw error;
    }
  };
  const texts = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.decode([id]));
  return texts.filter((text) => !text.includes("\ufffd") && text !== UNKNOWN && !comesBack(text)).length;
}

function comparisons(path: string, first: Loaded, second: Loaded): Promise<Check>[] {
  return [
    check("parameters", () => {
      for (const { name, shape } of first.layout.slots) {
        const [a, b] = [first.tensors.get(name), second.tensors.get(name)];
        demand(!!a && !!b, `tensor ${name} is missing`);
        demand(
          a!.shape.join() === shape.join(),
          `tensor ${name} is [${a!.shape.join(", ")}], the configuration's model has [${shape.join(", ")}]`,
        );
        demand(sameBits(a!.data, b!.data), `tensor ${name} differs between two loads`);
      }
      checkParameters({ tensors: first.tensors, path });
      const isTable = (name: string) =>
        needsCode(first).logits && /^blocks\.\d+\.attn\.modifier\./.test(name);
      const count = (of: (name: string) => boolean) =>
        [...first.tensors].reduce((sum, [name, { data }]) => of(name) ? sum + data.length : sum, 0);
      const stored = count((name) => !isTable(name));
      demand(
        stored === first.parameters,
        `${stored} values, the configuration's model has ${first.parameters}`,
      );
      const tables = count(isTable);
      const besides = tables > 0
        ? `; ${tables} more in tables of modifiers, whose shapes only their code defines`
        : "";
      return `${first.parameters.toLocaleString("en")} values, the same bytes in two loads${besides}`;
    }),
    check("configuration", () => {
      const text = dumpConfig(first.config);
      const again = resolveConfig(parseConfig(text, path), { place: path, name: "again", saved: true });
      demand(
        dumpConfig(again) === text && dumpConfig(second.config) === text,
        "it does not read back as it was written",
      );
      return "reads back as it was written";
    }),
    check("tokenizer", () => {
      demand(JSON.stringify(first.tokenizer) === JSON.stringify(second.tokenizer), "two loads differ");
      const { size } = first.tokenizer;
      if (normalises(first.tokenizer)) return `${size} tokens, the same in two loads`;
      const lost = tokensLost(first.tokenizer);
      demand(lost === 0, `${lost} of ${size} tokens do not survive decoding and encoding`);
      return `${size} tokens survive decoding and encoding`;
    }),
  ];
}

/** Checks that training can resume from the optimizer's state. */
function optimizer(path: string, { config, layout }: Loaded): Promise<Check> {
  return check("optimizer", async () => {
    const names: string[] = [];
    const bytes = await readPart(path, "optimizer.safetensors");
    defineOptimizer({ define: (name) => names.push(name) }, { config, layout, path }, bytes);
    return names.length > 0 ? names.join(", ") : `${config.optimizer.name} has no states`;
  });
}

function logits(
  device: Device,
  path: string,
  first: Loaded,
  second: Loaded,
  state: RunState,
): Promise<Check>[] {
  const { vocabulary, context } = first.architecture;
  const random = randomStream(first.config.seed, "verify_load");
  const inputs: Record<string, Uint32Array> = {
    fixed: Uint32Array.from({ length: 2 * context }, (_, i) => i % vocabulary),
    random: Uint32Array.from({ length: 2 * context }, () => random.below(vocabulary)),
  };
  return Object.entries(inputs).map(([name, ids]) =>
    check(`logits on ${name} input`, async () => {
      const [a, b] = [
        await logitsOf(device, path, first, ids, state),
        await logitsOf(device, path, second, ids, state),
      ];
      demand(Array.from(a).every(Number.isFinite), "some are not finite");
      demand(sameBits(a, b), "two loads differ");
      const compared = positionsCompared(device, first);
      const which = compared < context ? ` of the last ${compared} of ${context} positions` : "";
      return `${a.length.toLocaleString("en")} values${which}, bitwise identical in two loads`;
    })
  );
}

/**
 * Recomputes the validation loss from the data and checks that it equals the recorded loss to within 1e-6, relative to the
 * recorded loss if that is above 1.
 */
function reproduction(device: Device, path: string, model: Loaded, state: RunState): Promise<Check> {
  return check("validation loss", async () => {
    if (state.val_loss === null) return "none was recorded at this step";
    const experiment = await prepare(model.config, model.tokenizer, (data) => {
      const [change] = changesOf(state, { data }, model.config);
      demand(change === undefined, change?.message);
    });
    putModel(device, { ...model, path, state });
    using evaluation = await evaluator(device, experiment);
    const { loss } = await evaluation.evaluate();
    const detail = `${loss.toPrecision(9)}, recorded ${state.val_loss.toPrecision(9)}`;
    demand(Math.abs(loss - state.val_loss) <= 1e-6 * Math.max(1, Math.abs(state.val_loss)), detail);
    return detail;
  });
}

const NOT_RUN = "not checked: it needs code that is not run here";

const skippedChecks = (...names: string[]): Check[] =>
  names.map((name) => ({ name, passed: true, detail: NOT_RUN, skipped: true }));

/**
 * Verifies a checkpoint. It checks the hashes of the checkpoint's files, that the run's log has the records that the
 * checkpoint was saved with, that two loads give the same parameters, configuration, tokenizer and logits, and that the
 * recomputed validation loss equals the recorded one to within 1e-6. Code that the configuration names (hooks, tasks,
 * modifiers) is never run: only its hash is compared, and checks that depend on the code are skipped.
 *
 * @param path a checkpoint's folder
 * @param openDevice opens a device for the model; called only if the files can be decoded. Its second argument is the device
 * in the configuration, or "reference" if the reference device computed the checkpoint (older configurations call that device
 * "cpu")
 * @returns every check in order; if files cannot be decoded, the later checks are omitted
 *
 * @example
 * ```ts
 * import { openDevice, verifyCheckpoint } from "../../mod.ts";
 * const checks = await verifyCheckpoint("runs/copy/checkpoints/100", () => openDevice("cpu"));
 * console.log(checks.every((check) => check.passed));
 * ```
 * @category Training
 */
export async function verifyCheckpoint(
  path: string,
  openDevice: (model: Model, device: string) => Promise<Device>,
): Promise<Check[]> {
  let state: RunState | undefined;
  const seal = await check("state.json", async () => {
    state = await readState(path);
    return `step ${state.step}`;
  });
  if (!state) return [seal];
  const checks = [seal, ...await Promise.all(hashes(path, state)), await logIsWhole(path, state)];
  let loaded: [Loaded, Loaded] | undefined;
  checks.push(
    await check("loads", async () => {
      loaded = [await load(path), await load(path)];
      return join(path, "model.safetensors");
    }),
  );
  if (!loaded) return checks;
  const [first, second] = loaded;
  checks.push(...await codeChecks(first, state), ...await Promise.all(comparisons(path, first, second)));
  const needs = needsCode(first);
  if ("optimizer.safetensors" in state.files) {
    checks.push(...needs.logits ? skippedChecks("optimizer") : [await optimizer(path, first)]);
  }
  if (needs.logits) {
    return [
      ...checks,
      ...skippedChecks("logits on fixed input", "logits on random input", "validation loss"),
    ];
  }
  using device = await openDevice(first, isReference(state.device) ? "reference" : first.config.device);
  // These checks run one after another, because they share the parameters on the device.
  for (const result of logits(device, path, first, second, state)) checks.push(await result);
  checks.push(
    ...needs.loss ? skippedChecks("validation loss") : [await reproduction(device, path, first, state)],
  );
  return checks;
}
