// Learning rates by step.

/** A learning-rate schedule, and the optimizer's highest rate. */
export interface Schedule {
  /** Its form after the warmup. */
  readonly name: "cosine" | "constant";
  /** Highest learning rate. */
  readonly lr: number;
  /** Where the cosine ends. */
  readonly min_lr: number;
  /** Steps of linear warmup. */
  readonly warmup: number;
  /** Step at which a cosine reaches `min_lr`. */
  readonly steps: number;
}

/**
 * The learning rate of a step, nanoGPT's way: linear warmup to `lr`, then constant, or half a cosine down to `min_lr`
 * at `steps` and `min_lr` after it.
 *
 * @param step 0-based: the number of updates made before this one
 *
 * @example
 * ```ts
 * import { learningRate } from "../../mod.ts";
 * const schedule = { name: "cosine", lr: 1e-3, min_lr: 1e-4, warmup: 100, steps: 2000 } as const;
 * learningRate(schedule, 2000); // 1e-4
 * ```
 */
export function learningRate({ name, lr, min_lr, warmup, steps }: Schedule, step: number): number {
  if (step < warmup) return lr * (step + 1) / (warmup + 1);
  if (name === "constant") return lr;
  if (step >= steps) return min_lr;
  const progress = (step - warmup) / (steps - warmup);
  return min_lr + 0.5 * (1 + Math.cos(Math.PI * progress)) * (lr - min_lr);
}
