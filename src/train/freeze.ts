// Frozen parameters. Those that match `train.freeze` are frozen for the whole run; a hook can freeze others for single steps.
import { UserError } from "../base/errors.ts";
import type { Values } from "../graph/tensor.ts";
import { checkSelectors, selection, type Subject } from "../track/selectors.ts";
import type { Model } from "../model/model.ts";
import { frozenNames } from "../model/hook_calls.ts";
import { rowsOfSlots } from "../../kernels/optimizers/table.ts";
import type { Layout } from "../model/layout.ts";

type Frozen = Pick<Model, "config" | "layout" | "hooks" | "architecture">;

const subjectOf = ({ name }: { readonly name: string }): Subject => ({ kind: "param", name });

/** Throws a `UserError` if an entry of `train.freeze` matches no parameter, or every parameter is frozen. */
export function checkFreeze(
  { config: { train: { freeze } }, layout }: Pick<Model, "config" | "layout">,
): void {
  const subjects = layout.slots.map(subjectOf);
  checkSelectors("train.freeze", freeze, subjects);
  if (freeze.length === 0 || !subjects.every(selection(freeze))) return;
  throw new UserError(
    `train.freeze: ${
      JSON.stringify(freeze)
    } matches every parameter; expected at least one to remain trainable.`,
  );
}

/** Whether any step may freeze parameters. If so, the program of a step has the input `trained`. */
export function freezes({ config, hooks }: Pick<Model, "config" | "hooks">): boolean {
  return config.train.freeze.length > 0 || hooks?.freeze !== undefined;
}

/**
 * Returns the values of a step's input `trained`, one value per `ALIGN` elements of the flat parameters: 0 if the elements
 * belong to a frozen parameter (one of `names`), else 1.
 */
export function trainedFeed(layout: Layout, names: ReadonlySet<string>): Float32Array {
  return rowsOfSlots(layout.size, layout.slots.filter(({ name }) => !names.has(name)));
}

/**
 * Returns the value of a step's input `trained`, keyed by that name; an empty record if no step freezes parameters.
 *
 * @param step the number of the step, from 1
 */
export function freezeFeeds(model: Frozen, step: number): Record<string, Values> {
  if (!freezes(model)) return {};
  const { config: { train, seed }, layout, hooks, architecture: { vocabulary } } = model;
  const never = train.freeze.length > 0 ? selection(train.freeze) : () => false;
  const names = layout.slots.map(({ name }) => name);
  const now = hooks?.freeze ? frozenNames(hooks, { seed, vocabulary }, step, names) : [];
  return {
    trained: trainedFeed(layout, new Set([...names.filter((name) => never(subjectOf({ name }))), ...now])),
  };
}
