// Learning-rate schedules. Each schedule is one entry of a table.
import { defaultsOf, type Keys, type KeyValues } from "../../src/base/keys.ts";

/** Arguments of a schedule's formula (the field `rate` of `Form`). */
interface Rates extends Required<Omit<Schedule, "name" | "min_lr" | "steps">> {
  /** min(min_lr, lr), so that a `min_lr` above `lr` does not raise the rate. */
  readonly least: number;
  /** Number of steps from the end of the warmup to the end of the decay. */
  readonly length: number;
}

/** How the learning rate changes after the warmup. */
interface Form {
  /** Returns the learning rate t steps after the end of the warmup. */
  rate(rates: Rates, t: number): number;
  /** True if the rate reaches `min_lr` at `schedule.steps`. */
  readonly ends?: true;
  /** True if the rate is lowered depending on evaluations, which may also happen during the warmup. */
  readonly reduced?: true;
  /** True if the rate never decreases. */
  readonly flat?: true;
}

const constant: Form = { flat: true, rate: ({ lr }) => lr };

const cosine: Form = {
  ends: true,
  rate: ({ lr, least, length }, t) => least + 0.5 * (1 + Math.cos(Math.PI * t / length)) * (lr - least),
};

const linear: Form = {
  ends: true,
  rate: ({ lr, least, length }, t) => least + (lr - least) * (1 - t / length),
};

const cyclic: Form = {
  rate: ({ lr, least, cycle }, t) => least + (lr - least) * Math.abs(1 - 2 * (t % cycle) / cycle),
};

const plateau: Form = {
  reduced: true,
  rate: ({ lr, least, factor, reductions }) => Math.max(least, lr * factor ** reductions),
};

const rsqrt: Form = {
  rate({ lr, least, warmup }, t) {
    const w = Math.max(warmup, 1);
    return Math.max(least, lr * Math.sqrt(w / (w + t)));
  },
};

/** The schedules, keyed by name. */
export const SCHEDULES = { cosine, constant, linear, cyclic, plateau, rsqrt };

/** The keys of `schedule` in a configuration. */
export const SCHEDULE_KEYS = {
  name: {
    oneOf: SCHEDULES,
    default: "cosine",
    doc:
      "Schedule of the learning rate after warmup; plateau lowers it when the evaluated loss stops falling.",
  },
  warmup: { least: 0, default: 100, doc: "Steps of linear warmup." },
  min_lr: {
    is: "amount",
    default: 1e-4,
    doc: "Lowest learning rate: final rate of cosine and linear, minimum of cyclic, plateau and rsqrt.",
  },
  steps: { least: 1, default: null, doc: "Step at which the decay ends; null: train.steps." },
  cycle: { least: 2, default: 100, doc: "cyclic: steps from the highest rate to the lowest and back." },
  factor: { is: "fraction", default: 0.5, doc: "plateau: factor by which the rate is multiplied." },
  patience: {
    least: 0,
    default: 3,
    doc:
      "plateau: number of evaluations without a lower loss that are tolerated; the next one lowers the rate.",
  },
} as const satisfies Keys;

/** A learning-rate schedule (see {@link SCHEDULE_KEYS}), and the highest learning rate, `optimizer.lr`. */
export interface Schedule
  extends Omit<KeyValues<typeof SCHEDULE_KEYS>, "steps" | "cycle" | "factor" | "patience"> {
  /** Highest learning rate. */
  readonly lr: number;
  /** Step at which cosine and linear reach `min_lr`. */
  readonly steps: number;
  /** Length of a cycle of "cyclic", in steps. Default: 100. */
  readonly cycle?: number;
  /** Factor by which "plateau" multiplies the rate at each reduction. Default: 0.5. */
  readonly factor?: number;
  /** Number of times that "plateau" has reduced the rate so far. Default: 0. */
  readonly reductions?: number;
}

const { cycle: CYCLE, factor: FACTOR } = defaultsOf(SCHEDULE_KEYS);

/**
 * Returns the learning rate of a step. The rate first rises linearly to `lr` as in nanoGPT, lr (step + 1) / (warmup + 1).
 * After the warmup, with t = step - warmup and T = steps - warmup, it is:
 *
 *     constant   lr
 *     cosine     min_lr + (lr - min_lr) (1 + cos(pi t / T)) / 2, and min_lr after T
 *     linear     min_lr + (lr - min_lr) (1 - t / T), and min_lr after T
 *     cyclic     min_lr + (lr - min_lr) |1 - 2 (t mod cycle) / cycle|
 *     rsqrt      lr sqrt(w / (w + t)), w = max(warmup, 1); not below min_lr
 *     plateau    lr factor^reductions; not below min_lr
 *
 * The `reductions` of "plateau" are those that torch's ReduceLROnPlateau makes with threshold 0, eps 0 and cooldown 0: one
 * after every `schedule.patience` + 1 consecutive evaluations without a lower loss. A NaN loss does not count as lower.
 *
 * Sources: Smith 2017 (cyclic, starting at its maximum), Vaswani et al. 2017 (rsqrt), torch's ReduceLROnPlateau.
 *
 * @param step index of the step, from 0: the number of updates before it
 *
 * @example
 * ```ts
 * import { learningRate } from "../mod.ts";
 * const schedule = { name: "cosine", lr: 1e-3, min_lr: 1e-4, warmup: 100, steps: 2000 } as const;
 * learningRate(schedule, 2000); // 1e-4
 * ```
 */
export function learningRate(schedule: Schedule, step: number): number {
  const { name, lr, min_lr, warmup, steps, cycle = CYCLE, factor = FACTOR, reductions = 0 } = schedule;
  const { rate, reduced, ends }: Form = SCHEDULES[name];
  const least = Math.min(min_lr, lr);
  const rates = { lr, least, warmup, length: steps - warmup, cycle, factor, reductions };
  if (step < warmup) return (reduced ? rate(rates, 0) : lr) * (step + 1) / (warmup + 1);
  return ends && step >= steps ? least : rate(rates, step - warmup);
}

/**
 * Returns the learning rate that a configuration gives for a step (0-based). `reductions` is the number of times that
 * "plateau" has reduced the rate so far.
 */
export function scheduledRate(
  { optimizer: { lr }, schedule, train }: {
    readonly optimizer: Pick<Schedule, "lr">;
    readonly schedule: KeyValues<typeof SCHEDULE_KEYS>;
    readonly train: Pick<Schedule, "steps">;
  },
  step: number,
  reductions = 0,
): number {
  return learningRate({ ...schedule, lr, steps: schedule.steps ?? train.steps, reductions }, step);
}
