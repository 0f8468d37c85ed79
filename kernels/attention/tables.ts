// Tables of score modifiers: which of them are learned, the layout of their gradients, and the derivative of the score with
// respect to an entry.
import { sizeOf, type Spec } from "../../src/graph/tensor.ts";
import { derivative, lookupsOf, replace, sameExpression, variable } from "../expression/expression.ts";
import type { Expression, Lookup } from "../expression/expression.ts";
import type { AttentionAttrs } from "./sizes.ts";

/** Attributes of the gradient of the learned tables: those of the attention, and the names of the learned tables. */
export interface TableGradientAttrs extends AttentionAttrs {
  readonly learned: readonly string[];
}

/** Returns the specs of those inputs of an operation that are learned tables. */
export function learnedSpecs(inputs: readonly Spec[], attrs: TableGradientAttrs): Spec[] {
  const tables = inputs.slice(inputs.length - attrs.tables.length);
  return attrs.learned.map((name) => tables[attrs.tables.indexOf(name)]);
}

/**
 * Returns the offset of each learned table in the flat array of the gradients of all learned tables, and the size of this array.
 * Each offset is a multiple of 64, so that a view can start there.
 */
export function tableOffsets(
  tables: readonly string[],
  specs: readonly Spec[],
): { offsets: number[]; size: number } {
  const offsets: number[] = [];
  let size = 0;
  tables.forEach((_, i) => {
    offsets.push(size);
    size += Math.ceil(sizeOf(specs[i]) / 64) * 64;
  });
  return { offsets, size };
}

/** A lookup in a learned table, and the derivative of the score with respect to the entry that the lookup reads. */
export interface TableSlope {
  readonly lookup: Lookup;
  /** Index of the table among the learned tables. */
  readonly table: number;
  /** d score / d entry, an expression in the variables of the score and `entry`. */
  readonly derivative: Expression;
}

/** Returns all lookups in learned tables that a score contains, each with the derivative of the score. */
export function tableSlopes(score: Expression, learned: readonly string[]): TableSlope[] {
  return lookupsOf(score).filter(({ table }) => learned.includes(table)).map((lookup) => {
    const ofEntry = replace(score, (x) => {
      return x.kind === "lookup" && sameExpression(x, lookup) ? variable("entry") : undefined;
    });
    const table = learned.indexOf(lookup.table);
    return { lookup, table, derivative: derivative(ofEntry, "entry") };
  });
}
