// What a run reads from outside its folder, and whether it is still what its checkpoint was made with.
import type { Config } from "../config/mod.ts";
import { UserError } from "../base/errors.ts";
import type { WarningRecord } from "../log/records.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import type { CodeFile, RunState } from "../runs/run_state.ts";

/** The fields of state.json that seal what a run reads. */
export type Inputs = Pick<RunState, "data" | "code">;

/** How one of them is compared. */
interface Compared {
  /** Of the warning that is logged where a difference is accepted. */
  readonly code: string;
  /** What differs and how, without a full stop; undefined where nothing does, or a side lacks it. */
  readonly differs: (sealed: Inputs, now: Inputs, config: Config) => string | undefined;
}

/** `data.files [text.txt]`, `data.source copy`: the keys that name the data. */
function dataKeys({ data: { files, source, sources, split_files: { val, test } } }: Config): string {
  if (sources.length > 0) {
    const each = sources.map((own) => own.source ?? own.files.join(", "));
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

/** A hash as messages show it. */
const short = (sha256: string): string => sha256.slice(0, 16);

const COMPARED: readonly Compared[] = [
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
      const before = ({ file }: CodeFile) => sealed.find((own) => own.file === file)?.sha256;
      const changed = code.find((own) => (before(own) ?? own.sha256) !== own.sha256);
      return changed &&
        `${changed.file}: the code has changed, its SHA-256 is ${short(changed.sha256)} and was ${
          short(before(changed)!)
        }`;
    },
  },
];

/** What of a run's inputs is no longer what its checkpoint was made with. What either side lacks is not compared. */
export function changesOf(sealed: Inputs, now: Inputs, config: Config): { code: string; message: string }[] {
  return COMPARED.flatMap(({ code, differs }) => {
    const message = differs(sealed, now, config);
    return message === undefined ? [] : [{ code, message }];
  });
}

/**
 * Compares what a run reads now with what its checkpoint was made with (see `changesOf`).
 *
 * @param accepted whether the run goes on all the same
 * @returns a warning for each difference that was accepted
 * @throws {UserError} at the first difference, where it is not accepted
 */
export function acceptChanges(
  { config, state, path }: Pick<Checkpoint, "config" | "state" | "path">,
  now: Inputs,
  accepted: boolean,
): WarningRecord[] {
  return changesOf(state, now, config).map(({ code, message }) => {
    if (accepted) return { type: "warning", step: state.step, code, message: `${message}.`, tap: null };
    throw new UserError(
      `${path}: ${message}; put it back, or go on with it: deno task train --resume ${path} --accept-changes`,
    );
  });
}
