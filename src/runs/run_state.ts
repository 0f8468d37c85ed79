// The file state.json, which has the state of a run at a checkpoint, and the validation of this file. The hash in the file
// detects damage, but does not prove who wrote the file.
import { basename, dirname } from "node:path";
import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { count, type Kind, kind, mapping, number, object, orNull, text } from "../log/field_kinds.ts";
import type { LogSeal } from "../log/log_seal.ts";

/** Non-finite steps of a run, saved in checkpoints so that a resumed run warns and stops at the same steps. */
export interface NonFinite {
  /** Number of consecutive steps, up to and including the last step, whose loss or gradient norm was not finite. */
  readonly streak: number;
  /** The last step at which a warning was logged; 0 if there was none. */
  readonly warned: number;
}

/** A user file that a run uses, and the hash of its code (see `UserCode`). */
export interface CodeFile {
  /** The file's path, as in the configuration. */
  readonly file: string;
  /** SHA-256 of the file's code, in hexadecimal digits. */
  readonly sha256: string;
}

/** The best evaluation so far. */
export interface Best {
  /** The number of steps that were completed when the evaluation ran. */
  readonly step: number;
  /** The validation loss of the evaluation, in nats per token. */
  readonly val_loss: number;
}

/** state.json: the state of a run at a checkpoint. */
export interface RunState {
  /** Number of completed steps. */
  readonly step: number;
  /** Number of values recorded so far, over all metrics. */
  readonly counter: number;
  /** Number of training targets so far; absent in older checkpoints, whose logs counted all positions. */
  readonly tokens?: number;
  /** The best evaluation so far; null if there was none. */
  readonly best: Best | null;
  /** Loss of the evaluation at this step, in full precision; null if there was none. */
  readonly val_loss: number | null;
  /** Number of evaluations since the best evaluation; absent in older checkpoints, where it counts as 0. */
  readonly stale?: number;
  /**
   * Number of times that the schedule "plateau" has lowered the learning rate; absent in older checkpoints, where it counts as 0.
   */
  readonly reductions?: number;
  /** The run's recent non-finite steps; absent if there were none. */
  readonly non_finite?: NonFinite;
  /** SHA-256 of the data that the run reads; absent in older checkpoints. */
  readonly data?: string;
  /** Number and SHA-256 of the log's records that precede this checkpoint's own record; absent in older checkpoints. */
  readonly log?: LogSeal;
  /** The adapter of the device on which the run computed the checkpoint. */
  readonly device: string;
  /** The kind of that device, on which the run continues; absent in older checkpoints. */
  readonly device_kind?: string;
  /** If the device was chosen by measurements: the estimated duration of the run on each device, in seconds. */
  readonly device_estimates?: { readonly webgpu: number; readonly cpu: number };
  /** The user files that the run used, with their hashes; absent if there were none, and in older checkpoints. */
  readonly code?: readonly CodeFile[];
  /** SHA-256 of the checkpoint's other files, keyed by file name. */
  readonly files: Readonly<Record<string, string>>;
}

/** The kind of a field, and if it is an object, the fields in it. */
interface Field {
  readonly kind: Kind;
  /** True if the field may be missing, as in older checkpoints. */
  readonly optional?: true;
  readonly inside?: Readonly<Record<string, Field>>;
}

const sha256 = kind(
  "64 lower-case hexadecimal digits",
  (value) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value),
);
const code = object({ file: text, sha256 });
const codes = kind(
  `a list, each entry ${code.expected}`,
  (value) => Array.isArray(value) && value.every(code.holds),
);

const FIELDS: Readonly<Record<string, Field>> = {
  step: { kind: count },
  counter: { kind: count },
  tokens: { kind: count, optional: true },
  best: { kind: orNull(mapping), inside: { step: { kind: count }, val_loss: { kind: number } } },
  val_loss: { kind: orNull(number) },
  stale: { kind: count, optional: true },
  reductions: { kind: count, optional: true },
  non_finite: { kind: mapping, optional: true, inside: { streak: { kind: count }, warned: { kind: count } } },
  data: { kind: sha256, optional: true },
  log: { kind: mapping, optional: true, inside: { records: { kind: count }, sha256: { kind: sha256 } } },
  device: { kind: text },
  device_kind: { kind: text, optional: true },
  device_estimates: {
    kind: mapping,
    optional: true,
    inside: { webgpu: { kind: number }, cpu: { kind: number } },
  },
  code: { kind: codes, optional: true },
  files: {
    kind: mapping,
    inside: {
      "config.yaml": { kind: sha256 },
      "tokenizer.json": { kind: sha256 },
      "model.safetensors": { kind: sha256 },
      // An imported model has no optimizer state.
      "optimizer.safetensors": { kind: sha256, optional: true },
    },
  },
};

/** Throws UserError at the first field that is missing or of another type. */
function checkFields(place: string, value: object, fields: Readonly<Record<string, Field>>, path = ""): void {
  for (const [name, { kind: { expected, holds }, optional, inside }] of Object.entries(fields)) {
    const entry = (value as Record<string, unknown>)[name];
    if (entry === undefined && optional) continue;
    if (!holds(entry)) {
      throw new UserError(`${place}: ${path}${name}: expected ${expected}, found ${describeValue(entry)}.`);
    }
    if (inside && entry !== null) checkFields(place, entry as object, inside, `${path}${name}.`);
  }
}

/** Throws UserError at the first field of state.json that is missing, of another type or out of range. */
export function checkState(place: string, value: object): asserts value is RunState {
  checkFields(place, value, FIELDS);
  const { step, best, non_finite } = value as RunState;
  const folder = dirname(place);
  const name = basename(folder);
  if (basename(dirname(folder)) === "checkpoints" && /^\d+$/.test(name) && Number(name) !== step) {
    throw new UserError(`${place}: step: expected ${name}, as its folder is named, found ${step}.`);
  }
  const steps = { "best.step": best?.step, "non_finite.warned": non_finite?.warned };
  for (const [name, at] of Object.entries(steps)) {
    if (at === undefined || at <= step) continue;
    throw new UserError(`${place}: ${name}: expected at most the checkpoint's step ${step}, found ${at}.`);
  }
}
