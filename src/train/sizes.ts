// What a configuration needs at least, added up from its numbers alone: before anything is unrolled, allocated or planned.
// What it needs exactly the plans of its programs say, which a device checks (see `Device.check`).
import { MOST_TOKENS } from "../generate/generate.ts";
import { type Config, configSchema } from "../config/mod.ts";
import { checkMemory, type Machine, thisMachine } from "../device/machine.ts";
import { showBytes } from "../base/units.ts";
import { UserError } from "../base/errors.ts";
import { type Architecture, type BlockChoices, decoderParameters } from "../nn/mod.ts";
import { dueSets } from "../track/selectors.ts";
import { layout } from "../model/layout.ts";

/**
 * Bytes of JavaScript's heap that the graph and the plan of a step take for each block and pass. Measured: a heap of 496 MiB
 * ends between 4,000 and 5,000 of the plainest blocks.
 */
const GRAPH_BYTES = 100 * 1024;

/** Bytes of the heap for a sample whose tensors are tracked: the chunks that each of a block's is cut into, one at least. */
const SAMPLE_BYTES = 256;

/** Bytes of a float32, and of an id. */
const WORD = 4;

/** The keys whose numbers multiply what a run needs, by path. */
const KEYS = [
  "model.layers",
  "model.dim",
  "model.context",
  "model.vocabulary",
  "model.heads",
  "model.block.mlp.factor",
  "model.block.attention.value_dim",
  "model.block.attention.extra_keys",
  "tokenizer.size",
  "train.batch",
  "train.accumulate",
  "sample.tokens",
] as const;

/** What stands for the defaults that are no number: of a vocabulary GPT-2's, of a width model.dim's. */
const USUAL: Readonly<Record<string, number>> = {
  "model.vocabulary": 50257,
  "model.block.attention.value_dim": 128,
  "model.block.attention.extra_keys": 1,
};

const numberAt = (config: unknown, key: string): number | undefined => {
  let value = config;
  for (const name of key.split(".")) value = (value as Record<string, unknown>)[name];
  return typeof value === "number" ? value : undefined;
};

/** "model.layers: 1000000000", the number of a configuration that is most times its default: the one to lower. */
export function numberToLower(config: Config): string {
  const defaults = configSchema.parse({ name: "defaults" });
  const times = (key: string) => (numberAt(config, key) ?? 0) / (USUAL[key] ?? numberAt(defaults, key)!);
  const key = KEYS.reduce((most, key) => times(key) > times(most) ? key : most);
  return `${key}: ${numberAt(config, key)}`;
}

/** What `act` throws, with the number to lower before it. */
export function withNumber<T>(config: Config, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof UserError) {
      throw new UserError(`${numberToLower(config)} is too much: ${error.message}`);
    }
    throw error;
  }
}

const unmodified = ({ attention, ...block }: BlockChoices): BlockChoices => {
  return { ...block, attention: { ...attention, modifier: null } };
};

/**
 * Elements of the flat storage of a model's parameters, without a list of them: blocks that are not described one by one are
 * alike. A user's own modifier, whose tables only its file knows, counts for nothing.
 */
export function parameterElements(architecture: Architecture): number {
  const { layers, block, blocks = [] } = architecture;
  const plain = { ...architecture, block: unmodified(block), blocks: blocks.map(unmodified) };
  const described = Math.min(layers, Math.max(1, blocks.length));
  const of = (layers: number) => layout(decoderParameters({ ...plain, layers })).size;
  const all = of(described);
  return all + (layers - described) * (all - of(described - 1));
}

function checkHeap(what: string, bytes: number, { heap }: Machine): void {
  if (bytes <= heap) return;
  throw new UserError(`${showBytes(bytes)} of JavaScript's heap for ${what}, there are ${showBytes(heap)}.`);
}

/**
 * Throws where a model cannot be held by this machine, whatever computes it.
 *
 * @throws {UserError} naming the number to lower, what is needed and what there is
 */
export function checkModel(
  config: Config,
  architecture: Architecture,
  machine: Machine = thisMachine(),
): void {
  const { layers } = architecture;
  withNumber(config, () => {
    checkHeap(`the graph of ${layers} blocks`, layers * GRAPH_BYTES, machine);
    checkMemory("the model's parameters", WORD * parameterElements(architecture), machine);
  });
}

/**
 * Throws where the graphs of a run's steps are too large for JavaScript's heap.
 *
 * @throws {UserError} naming the number to lower, what is needed and what there is
 */
export function checkGraphs(config: Config, machine: Machine = thisMachine()): void {
  const { model: { layers }, train: { accumulate, batch, steps }, track } = config;
  const programs = dueSets(track, steps).length + (track.some(({ every }) => every === 1) ? 0 : 1);
  const what = `the graphs of steps (blocks: ${layers}, passes: ${accumulate}, programs: ${programs})`;
  const looked = track.length > 0 ? batch * SAMPLE_BYTES : 0;
  const bytes = programs * layers * (accumulate * GRAPH_BYTES + looked);
  withNumber(config, () => checkHeap(what, bytes, machine));
}

/**
 * Throws where a run needs more than this machine has whatever its device: for its graphs, its parameters, its batches.
 * Before its data is read; until then a vocabulary that is left open counts as one token.
 */
export function checkRun(config: Config, machine: Machine = thisMachine()): void {
  const { model, train: { batch, accumulate }, sample } = config;
  checkModel(config, { ...model, vocabulary: model.vocabulary ?? 1 }, machine);
  checkGraphs(config, machine);
  withNumber(config, () => {
    // Ids and targets; of a row one residual stream at least.
    checkMemory("a step's batches", 2 * WORD * accumulate * batch * model.context, machine);
    checkMemory("a row's residual stream", WORD * model.context * model.dim, machine);
    if (sample.tokens > MOST_TOKENS) {
      throw new UserError(`expected at most ${MOST_TOKENS}, the longest list.`);
    }
  });
}
