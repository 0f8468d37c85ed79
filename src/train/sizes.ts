// What a configuration needs at least, added up from its numbers alone: before anything is unrolled, allocated or planned.
// What it needs exactly the plans of its programs say, which a device checks (see `Device.check`).
import { MOST_TOKENS } from "../generate/generate.ts";
import type { Config } from "../config/mod.ts";
import { checkMemory, type Machine, thisMachine } from "../device/machine.ts";
import { UserError } from "../base/errors.ts";
import { checkHeap, checkModel, GRAPH_BYTES, withNumber, WORD } from "../model/sizes.ts";
import { dueSets } from "../track/selectors.ts";

/** Bytes of the heap for a sample whose tensors are tracked: the chunks that each of a block's is cut into, one at least. */
const SAMPLE_BYTES = 256;

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
