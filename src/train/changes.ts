// Compares the data and code that a run reads with those that its checkpoint was saved with.
import type { Config } from "../config/mod.ts";
import { UserError } from "../base/errors.ts";
import type { WarningRecord } from "../log/records.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import type { CodeFile, RunState } from "../runs/run_state.ts";

/** The fields of state.json that hold the hashes of the data and the code that a run reads. */
export type Inputs = Pick<RunState, "data" | "code">;

/** How to compare a run's data, or its code, with the hash in a checkpoint. */
interface Comparison {
  /** Code of the warning that is logged when a difference is accepted. */
  readonly code: string;
  /**
   * Returns a message (without a full stop) about the first difference; undefined if nothing differs or a side lacks the
   * hash.
   */
  readonly differs: (sealed: Inputs, now: Inputs, config: Config) => string | undefined;
}

/**
 * Returns the configuration keys that select the data, and their values: `data.files [text.txt]` or `data.source copy`.
 */
function dataKeys({ data: { files, source, sources, split_files: { val, test } } }: Config): string {
  if (sources.length > 0) {
    const each = sources.map((part) => part.source ?? part.files.join(", "));
    return `data.sources [${each.join("; ")}]`;
  }
  const lists = Object.entries({
    "data.files": files,
    "data.split_files.val": val,
    "data.split_files.test": test,
  });
  const named = lists.filter(([, paths]) => paths.length > 0).map(([key, paths]) => {
    return `${key} [${paths.join(", ")}]`;
  });
  return [...files.length > 0 ? [] : [`data.source ${source}`], ...named].join(", ");
}

/** Shortens a hash to its first 16 digits, for messages. */
const short = (sha256: string): string => sha256.slice(0, 16);

const COMPARISONS: readonly Comparison[] = [
  {
    code: "data_changed",
    differs: ({ data: was }, { data: is }, config) =>
      was === undefined || is === undefined || was === is
        ? undefined
        : `${dataKeys(config)}: the data has changed, its SHA-256 is ${short(is)} and was ${short(was)}`,
  },
  {
    code: "code_changed",
    differs: ({ code: sealed = [] }, { code = [] }) => {
      const before = ({ file }: CodeFile) => sealed.find((entry) => entry.file === file)?.sha256;
      const changed = code.find((entry) => (before(entry) ?? entry.sha256) !== entry.sha256);
      return changed &&
        `${changed.file}: the code has changed, its SHA-256 is ${short(changed.sha256)} and was ${
          short(before(changed)!)
        }`;
    },
  },
];

/**
 * Lists how a run's data and code (`now`) differ from those that its checkpoint was saved with (`sealed`). A hash that one
 * side lacks is not compared.
 */
export function changesOf(sealed: Inputs, now: Inputs, config: Config): { code: string; message: string }[] {
  return COMPARISONS.flatMap(({ code, differs }) => {
    const message = differs(sealed, now, config);
    return message === undefined ? [] : [{ code, message }];
  });
}

/**
 * Compares the data and code of a run with those that its checkpoint was saved with (see `changesOf`).
 *
 * @param accepted whether the run continues despite differences
 * @returns one warning per accepted difference
 * @throws {UserError} for the first difference that is not accepted
 */
export function acceptChanges(
  { config, state, path }: Pick<Checkpoint, "config" | "state" | "path">,
  now: Inputs,
  accepted: boolean,
): WarningRecord[] {
  return changesOf(state, now, config).map(({ code, message }) => {
    if (accepted) return { type: "warning", step: state.step, code, message: `${message}.`, tap: null };
    throw new UserError(
      `${path}: ${message}; restore it, or accept the change: deno task train --resume ${path} --accept-changes`,
    );
  });
}
