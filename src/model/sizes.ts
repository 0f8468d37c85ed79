// What a model needs at least, from its configuration's numbers alone, and the number to lower where that is too much.
import { defaultsOf } from "../base/keys.ts";
import { type Config, CONFIG_KEYS } from "../config/mod.ts";
import { checkMemory, type Machine, thisMachine } from "../device/machine.ts";
import { showBytes } from "../base/units.ts";
import { placed, UserError } from "../base/errors.ts";
import { type Architecture, type BlockChoices, decoderParameters } from "../nn/mod.ts";
import { layout } from "./layout.ts";

/**
 * Bytes of JavaScript's heap that the graph and the plan of a step take for each block and pass. Measured: a heap of 496 MiB
 * ends between 4,000 and 5,000 of the plainest blocks.
 */
export const GRAPH_BYTES = 100 * 1024;

/** The keys whose numbers multiply what a run needs, by path. */
const KEYS = (
  "model.layers model.dim model.context model.vocabulary model.heads model.block.mlp.factor " +
  "model.block.attention.value_dim model.block.attention.extra_keys tokenizer.size train.batch train.accumulate " +
  "sample.tokens"
).split(" ");

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
  const defaults = defaultsOf(CONFIG_KEYS);
  const times = (key: string) => (numberAt(config, key) ?? 0) / (USUAL[key] ?? numberAt(defaults, key)!);
  const key = KEYS.reduce((most, key) => times(key) > times(most) ? key : most);
  return `${key}: ${numberAt(config, key)}`;
}

/** What `act` throws, with the number to lower before it. */
export function withNumber<T>(config: Config, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw placed(`${numberToLower(config)} is too much`, error);
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

export function checkHeap(what: string, bytes: number, { heap }: Machine): void {
  if (bytes <= heap) return;
  throw new UserError(`${showBytes(bytes)} of JavaScript's heap for ${what}, there are ${showBytes(heap)}.`);
}

/** Throws UserError, with the number to lower, where a model cannot be held by this machine, whatever computes it. */
export function checkModel(config: Config, architecture: Architecture, machine = thisMachine()): void {
  const { layers } = architecture;
  withNumber(config, () => {
    checkHeap(`the graph of ${layers} blocks`, layers * GRAPH_BYTES, machine);
    checkMemory("the model's parameters", WORD * parameterElements(architecture), machine);
  });
}

export const WORD = 4;
