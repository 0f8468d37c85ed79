// Lower bounds on a model's memory, from its configuration alone, and the key to lower if the memory does not suffice.
import { defaultsOf } from "../base/keys.ts";
import { type Config, CONFIG_KEYS } from "../config/mod.ts";
import { checkMemory, type Machine, thisMachine } from "../device/machine.ts";
import { showBytes } from "../base/units.ts";
import { placed, UserError } from "../base/errors.ts";
import { type Architecture, type BlockChoices, decoderParameters } from "../nn/mod.ts";
import { layout } from "./layout.ts";

/**
 * Bytes of JavaScript's heap for the graph and plan of a step, per block and pass. It was measured with a heap of 496 MiB,
 * which overflows at between 4,000 and 5,000 of the simplest blocks.
 */
export const GRAPH_BYTES = 100 * 1024;

/** Paths of the keys whose values increase a run's memory. */
const KEYS = (
  "model.layers model.dim model.context model.vocabulary model.heads model.block.mlp.factor " +
  "model.block.attention.value_dim model.block.attention.extra_keys tokenizer.size train.batch train.accumulate " +
  "sample.tokens"
).split(" ");

/**
 * Values with which the values of these keys are compared instead of their defaults, such as GPT-2's vocabulary size, or the
 * default of model.dim for a width.
 */
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

/**
 * Returns the key to lower and its value, such as "model.layers: 1000000000". It is the key whose value exceeds its default
 * by the largest factor.
 */
export function numberToLower(config: Config): string {
  const defaults = defaultsOf(CONFIG_KEYS);
  const times = (key: string) => (numberAt(config, key) ?? 0) / (USUAL[key] ?? numberAt(defaults, key)!);
  const key = KEYS.reduce((largest, key) => times(key) > times(largest) ? key : largest);
  return `${key}: ${numberAt(config, key)}`;
}

/** Returns the result of `act`. If `act` throws a UserError, the key to lower is put before the error's message. */
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
 * Returns the number of elements of a model's flat parameter storage. It is computed without listing the parameters of every
 * block, because all blocks after those that `blocks` describes are identical. Learned tables of user-defined modifiers,
 * whose sizes only their file defines, are not included.
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
  throw new UserError(
    `${showBytes(bytes)} of JavaScript's heap for ${what}, this machine has ${showBytes(heap)}.`,
  );
}

/** Throws UserError, naming the key to lower, if a model does not fit into this machine's memory, on any device. */
export function checkModel(config: Config, architecture: Architecture, machine = thisMachine()): void {
  const { layers } = architecture;
  withNumber(config, () => {
    checkHeap(`the graph of ${layers} blocks`, layers * GRAPH_BYTES, machine);
    checkMemory("the model's parameters", WORD * parameterElements(architecture), machine);
  });
}

export const WORD = 4;
