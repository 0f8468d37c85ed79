// Lower bounds on the memory that a configuration needs. They are computed from its settings alone, before anything is
// allocated or planned. The exact needs are in the plans of its programs, which a device checks (see `Device.check`).
import { MOST_TOKENS } from "../generate/generate.ts";
import type { Config } from "../config/mod.ts";
import { checkMemory, type Machine, thisMachine } from "../device/machine.ts";
import { UserError } from "../base/errors.ts";
import { checkHeap, checkModel, GRAPH_BYTES, withNumber, WORD } from "../model/sizes.ts";
import { dueSets } from "../track/selectors.ts";

/**
 * Minimum number of bytes of JavaScript's heap that tracking tensors needs per block and per row of a batch: each tensor of a
 * block has at least one chunk per row.
 */
const SAMPLE_BYTES = 256;

/**
 * Throws if the graphs of a run's steps are too large for JavaScript's heap.
 *
 * @throws {UserError} naming the key to lower, and the needed and available memory
 */
export function checkGraphs(config: Config, machine: Machine = thisMachine()): void {
  const { model: { layers }, train: { accumulate, batch, steps }, track } = config;
  const programs = dueSets(track, steps).length + (track.some(({ every }) => every === 1) ? 0 : 1);
  const what =
    `the graphs of the training steps (${layers} blocks, ${accumulate} micro-batches, ${programs} programs)`;
  const looked = track.length > 0 ? batch * SAMPLE_BYTES : 0;
  const bytes = programs * layers * (accumulate * GRAPH_BYTES + looked);
  withNumber(config, () => checkHeap(what, bytes, machine));
}

/**
 * Throws if a run's graphs, parameters or batches need more memory than this machine has, whatever the device. It is called
 * before the data is read, so a vocabulary that depends on the data counts as one token.
 */
export function checkRun(config: Config, machine: Machine = thisMachine()): void {
  const { model, train: { batch, accumulate }, sample } = config;
  checkModel(config, { ...model, vocabulary: model.vocabulary ?? 1 }, machine);
  checkGraphs(config, machine);
  withNumber(config, () => {
    // Lower bounds: the ids and targets of a step, and the residual stream of one row.
    checkMemory("a step's batches", 2 * WORD * accumulate * batch * model.context, machine);
    checkMemory("a row's residual stream", WORD * model.context * model.dim, machine);
    if (sample.tokens > MOST_TOKENS) {
      throw new UserError(`expected at most ${MOST_TOKENS}.`);
    }
  });
}
