// Learning rates by step.
import type { Config } from "../config/mod.ts";

/** A learning-rate schedule, and the optimizer's highest rate. */
export interface Schedule {
  /** Its form after the warmup. */
  readonly name: "cosine" | "constant" | "linear" | "cyclic" | "plateau" | "rsqrt";
  /** Highest learning rate. */
  readonly lr: number;
  /** Lowest learning rate after the warmup, `lr` where that is lower; not of "constant". */
  readonly min_lr: number;
  /** Steps of linear warmup. */
  readonly warmup: number;
  /** Step at which "cosine" and "linear" reach `min_lr`. */
  readonly steps: number;
  /** "cyclic": steps from `lr` to `min_lr` and back; 100 by default. */
  readonly cycle?: number;
  /** "plateau": what the rate is multiplied by each time; 0.5 by default. */
  readonly factor?: number;
  /** "plateau": times that it has been lowered so far; 0 by default. */
  readonly reductions?: number;
}

/**
 * The learning rate of a step. Linear warmup to `lr` as nanoGPT has it, lr (step + 1) / (warmup + 1), then with
 * t = step - warmup and T = steps - warmup:
 *
 *     constant   lr
 *     cosine     min_lr + (lr - min_lr) (1 + cos(pi t / T)) / 2, and min_lr after T
 *     linear     min_lr + (lr - min_lr) (1 - t / T), and min_lr after T
 *     cyclic     min_lr + (lr - min_lr) |1 - 2 (t mod cycle) / cycle|
 *     rsqrt      lr sqrt(w / (w + t)), w = max(warmup, 1); not below min_lr
 *     plateau    lr factor^reductions; not below min_lr
 *
 * A plateau's `reductions` count as torch's ReduceLROnPlateau does with threshold 0, eps 0 and cooldown 0: each
 * `schedule.patience` + 1 evaluations in a row without a lower loss are one; a loss that is NaN is no lower.
 *
 * Sources: Smith 2017 (cyclic, begun at its top), Vaswani et al. 2017 (rsqrt), torch's ReduceLROnPlateau.
 *
 * @param step 0-based: the number of updates made before this one
 *
 * @example
 * ```ts
 * import { learningRate } from "./mod.ts";
 * const schedule = { name: "cosine", lr: 1e-3, min_lr: 1e-4, warmup: 100, steps: 2000 } as const;
 * learningRate(schedule, 2000); // 1e-4
 * ```
 */
export function learningRate(schedule: Schedule, step: number): number {
  const { name, lr, min_lr, warmup, steps, cycle = 100, factor = 0.5, reductions = 0 } = schedule;
  // A lowest rate above the highest raises nothing.
  const least = Math.min(min_lr, lr);
  const highest = name === "plateau" ? Math.max(least, lr * factor ** reductions) : lr;
  if (step < warmup) return highest * (step + 1) / (warmup + 1);
  const since = step - warmup;
  switch (name) {
    case "constant":
    case "plateau":
      return highest;
    case "cyclic":
      return least + (lr - least) * Math.abs(1 - 2 * (since % cycle) / cycle);
    case "rsqrt":
      return Math.max(least, lr * Math.sqrt(Math.max(warmup, 1) / (Math.max(warmup, 1) + since)));
  }
  if (step >= steps) return least;
  const progress = since / (steps - warmup);
  if (name === "linear") return least + (lr - least) * (1 - progress);
  return least + 0.5 * (1 + Math.cos(Math.PI * progress)) * (lr - least);
}

/** The learning rate that a configuration gives a step, 0-based, after so many reductions of a plateau. */
export function scheduledRate({ optimizer, schedule, train }: Config, step: number, reductions = 0): number {
  const steps = schedule.steps ?? train.steps;
  return learningRate({ ...schedule, lr: optimizer.lr, steps, reductions }, step);
}
