// The tables that score modifiers look up: which of them are learned, where their gradients lie, and what the score's
// derivative in an entry is.
import { sizeOf, type Spec } from "../../src/graph/tensor.ts";
import { derivative, lookupsOf, replace, sameExpression, variable } from "../expression/expression.ts";
import type { Expression, Lookup } from "../expression/expression.ts";
import type { AttentionAttrs } from "./sizes.ts";

/** Attributes of the tables' gradient: which of them are learned. */
export interface TableGradientAttrs extends AttentionAttrs {
  readonly learned: readonly string[];
}

/** Specs of the learned tables among an operation's inputs. */
export function learnedSpecs(inputs: readonly Spec[], attrs: TableGradientAttrs): Spec[] {
  const tables = inputs.slice(inputs.length - attrs.tables.length);
  return attrs.learned.map((name) => tables[attrs.tables.indexOf(name)]);
}

/** Where each learned table lies in the flat gradient of all of them: aligned, so that parts can be viewed. */
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

/** A lookup in a learned table, and how the score changes with the number it finds. */
export interface TableSlope {
  readonly lookup: Lookup;
  /** Place of the table among the learned ones. */
  readonly table: number;
  /** d score / d entry, over what the score is of and `entry`. */
  readonly derivative: Expression;
}

/** Every lookup of a score in its learned tables. */
export function tableSlopes(score: Expression, learned: readonly string[]): TableSlope[] {
  return lookupsOf(score).filter(({ table }) => learned.includes(table)).map((lookup) => {
    const ofEntry = replace(score, (x) => {
      return x.kind === "lookup" && sameExpression(x, lookup) ? variable("entry") : undefined;
    });
    const table = learned.indexOf(lookup.table);
    return { lookup, table, derivative: derivative(ofEntry, "entry") };
  });
}
