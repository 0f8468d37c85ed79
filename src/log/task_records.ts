// The records that tasks print, as a table of their types and fields. The table defines the TypeScript types of the
// records, the order of their fields, and the field names that are allowed.

/** The fields of each type of record that a task prints, in the order in which they are written.
 * @category Logs */
export const TASK_FIELDS = {
  // show
  tokens: ["split", "sample", "source", "tokens", "ids", "targets", "padding"],
  // generate
  generated: ["prompt", "text", "continuation", "ids", "log_probability", "ended", "uncached"],
  // perplexity; with --tokens also token_loss
  perplexity: [
    ...["name", "tokens", "loss", "perplexity", "accuracy", "answer_loss", "answer_accuracy", "exact_match"],
    ...["max", "min", "sources", "max_text", "min_text"],
  ],
  token_loss: ["name", "position", "token", "nats"],
  // next_token; entries of `top` in lens_point have the same fields
  next_token: ["rank", "id", "token", "probability", "log_probability", "logit"],
  // logit_lens
  lens_point: ["depth", "position", "token", "top", "final_log_probability", "next_log_probability"],
  // attribution
  contribution: ["token", "minus", "part", "layer", "head", "value"],
  // ablate
  ablation: ["layer", "head", "method", "change", "loss", "tokens"],
  // patch
  patch: ["site", "layer", "place", "recovered"],
  // runs; with --diff config_difference
  found_run: ["path", "name", "time", "step", "val_loss", "config", "fault"],
  config_difference: ["key", "a", "b"],
  // verify_load
  check: ["checkpoint", "name", "passed", "skipped", "detail"],
  // stats
  statistic: ["step", "kind", "tap", "layer", "head", "stat", "value"],
  // check_attention
  attention_case: [
    ...["implementation", "case", "seed", "passed", "z_error", "dq_error", "dk_error", "dv_error"],
    ...["batch", "queries", "keys", "heads", "kv_heads", "head_dim", "value_dim", "mask", "scale"],
    ...["activation", "modifier", "failure"],
  ],
  // check_attention of a layer
  layer_case: [
    "implementation",
    "layer",
    "case",
    "seed",
    "passed",
    "error",
    "positions",
    "dim",
    "heads",
    "failure",
  ],
  // collect
  result: [
    ...["name", "config", "parameters", "steps", "best_loss", "best_step", "last_loss", "seconds"],
    ...["state", "log"],
  ],
  // train --jobs
  job: ["run", "name", "command"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/**
 * A record that a task prints, discriminated by `type`; every field of {@link TASK_FIELDS} is required. A field that is
 * undefined is omitted from the line.
 * @category Logs
 */
export type TaskRecord = {
  readonly [T in keyof typeof TASK_FIELDS]:
    & { readonly type: T }
    & { readonly [F in (typeof TASK_FIELDS)[T][number]]: unknown };
}[keyof typeof TASK_FIELDS];

const isTaskType = (type: string): type is keyof typeof TASK_FIELDS => Object.hasOwn(TASK_FIELDS, type);

/** Returns the first key in a value, at any depth, that is not in snake_case; undefined if there is none. */
function oddName(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [name, inner] of Object.entries(value)) {
    const odd = Array.isArray(value) || /^[a-z][a-z0-9_]*$/.test(name) ? oddName(inner) : name;
    if (odd !== undefined) return odd;
  }
  return undefined;
}

/**
 * Returns the names of the fields of a task's record in order; undefined for other types of records.
 *
 * @throws Error if {@link TASK_FIELDS} lacks a field of the record, or if a key inside a field is not in snake_case
 */
export function taskFields(record: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  const { type } = record;
  if (typeof type !== "string" || !isTaskType(type)) return undefined;
  const known: readonly string[] = TASK_FIELDS[type];
  for (const name in record) {
    const odd = name === "type" || known.includes(name)
      ? name === "config" ? undefined : oddName(record[name])
      : name;
    if (odd === undefined) continue;
    throw new Error(`A record of type ${type} has the field ${odd}: not in TASK_FIELDS.`);
  }
  return known;
}
