// What each field of state.json may hold. Its seal shows that nothing was damaged, not that heed wrote it.
import { basename, dirname } from "node:path";
import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { count, type Kind, kind, mapping, number, object, orNull, text } from "../log/field_kinds.ts";
import type { RunState } from "./checkpoint.ts";

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
  non_finite: {
    kind: mapping,
    optional: true,
    inside: { streak: { kind: count }, warned: { kind: count } },
  },
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

/**
 * Throws where a field of state.json is missing, of another type or out of range.
 *
 * @param place path of the file
 * @throws {UserError} with the field, what was found and what was expected
 */
export function checkState(place: string, value: object): asserts value is RunState {
  checkFields(place, value, FIELDS);
  const { step, best, non_finite } = value as RunState;
  const folder = dirname(place);
  const own = basename(folder);
  if (basename(dirname(folder)) === "checkpoints" && /^\d+$/.test(own) && Number(own) !== step) {
    throw new UserError(`${place}: step: expected ${own}, as its folder is named, found ${step}.`);
  }
  for (
    const [name, at] of Object.entries({ "best.step": best?.step, "non_finite.warned": non_finite?.warned })
  ) {
    if (at === undefined || at <= step) continue;
    throw new UserError(`${place}: ${name}: expected at most the checkpoint's step ${step}, found ${at}.`);
  }
}
