// state.json: where a run stood, and what each of its fields may hold. Its seal shows that nothing was damaged, not that heed wrote it.
import { basename, dirname } from "node:path";
import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { count, type Kind, kind, mapping, number, object, orNull, text } from "../log/field_kinds.ts";
import type { LogSeal } from "../log/log_seal.ts";

/** What a run remembers of its steps that were not finite; a checkpoint has it, so that a resumed run warns and stops alike. */
export interface NonFinite {
  /** Such steps in a row up to the last one. */
  readonly streak: number;
  /** The last step that the log warned of; 0 where there was none. */
  readonly warned: number;
}

/** A file of the user's that a run uses, and the hash of its code (see `UserCode`). */
export interface CodeFile {
  /** Its path as the configuration has it. */
  readonly file: string;
  /** SHA-256. */
  readonly sha256: string;
}

/** The best evaluation so far. */
export interface Best {
  /** The step that it followed. */
  readonly step: number;
  /** Its loss, in nats per token. */
  readonly val_loss: number;
}

/** state.json: where a run stood. */
export interface RunState {
  /** Steps made. */
  readonly step: number;
  /** Values recorded so far, across metrics. */
  readonly counter: number;
  /** Targets learned from; absent in older checkpoints, whose logs counted all positions. */
  readonly tokens?: number;
  /** The best evaluation so far; null where there was none. */
  readonly best: Best | null;
  /** Loss of the evaluation at this step, in full precision; null where there was none. */
  readonly val_loss: number | null;
  /** Evaluations since the best one; absent in older checkpoints: 0. */
  readonly stale?: number;
  /** Times that the schedule "plateau" has lowered the learning rate; absent in older checkpoints: 0. */
  readonly reductions?: number;
  /** Its steps that were not finite; absent where there was none. */
  readonly non_finite?: NonFinite;
  /** SHA-256 of the data that the run reads; absent in older checkpoints. */
  readonly data?: string;
  /** The records of the log before this checkpoint's own; absent in older checkpoints. */
  readonly log?: LogSeal;
  /** Device the numbers were made on. */
  readonly device: string;
  /** The user's files that it ran, with their hashes; absent where it ran none, and in older checkpoints. */
  readonly code?: readonly CodeFile[];
  /** SHA-256 of the other files. */
  readonly files: Readonly<Record<string, string>>;
}

/** A field, and those of the object in it. */
interface Field {
  readonly kind: Kind;
  /** It may be missing: an older checkpoint has no such field. */
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
  code: { kind: codes, optional: true },
  files: {
    kind: mapping,
    inside: {
      "config.yaml": { kind: sha256 },
      "tokenizer.json": { kind: sha256 },
      "model.safetensors": { kind: sha256 },
      // What was never trained has no optimizer.
      "optimizer.safetensors": { kind: sha256, optional: true },
    },
  },
};

/** Throws at the first field that is missing or holds something else. */
function checkFields(place: string, value: object, fields: Readonly<Record<string, Field>>, path = ""): void {
  for (const [name, { kind: { expected, holds }, optional, inside }] of Object.entries(fields)) {
    const own = (value as Record<string, unknown>)[name];
    if (own === undefined && optional) continue;
    if (!holds(own)) {
      throw new UserError(`${place}: ${path}${name}: expected ${expected}, found ${describeValue(own)}.`);
    }
    if (inside && own !== null) checkFields(place, own as object, inside, `${path}${name}.`);
  }
}

/** Throws UserError at the first field of state.json that is missing, of another type or out of range. */
export function checkState(place: string, value: object): asserts value is RunState {
  checkFields(place, value, FIELDS);
  const { step, best, non_finite } = value as RunState;
  const folder = dirname(place);
  const own = basename(folder);
  if (basename(dirname(folder)) === "checkpoints" && /^\d+$/.test(own) && Number(own) !== step) {
    throw new UserError(`${place}: step: expected ${own}, as its folder is named, found ${step}.`);
  }
  const steps = { "best.step": best?.step, "non_finite.warned": non_finite?.warned };
  for (const [name, at] of Object.entries(steps)) {
    if (at === undefined || at <= step) continue;
    throw new UserError(`${place}: ${name}: expected at most the checkpoint's step ${step}, found ${at}.`);
  }
}
