// The identity of a run's data is one SHA-256. It does not depend on where the files are, and it changes if any character of a
// text changes.
import { sha256Hex } from "../base/hash.ts";
import type { LoadedBytes } from "./corpora.ts";
import { drawSample } from "./synthetic.ts";
import type { Task } from "./task.ts";

/** Number of samples by which the generator of a task is identified. */
const SAMPLES = 256;

const sha256Of = (value: unknown): string => sha256Hex(JSON.stringify(value));

/**
 * Returns the identity of the text and of the texts of separate splits. It depends on the SHA-256 of each text and, if `cut` is
 * true because files are cut into samples, on the lengths of the files in bytes. It does not depend on names or paths.
 */
export function textIdentity(
  texts: readonly (Pick<LoadedBytes, "files" | "sha256"> | undefined)[],
  cut: boolean,
): string {
  return sha256Of(texts.map((text) => {
    return text ? [text.sha256, cut ? text.files.map(({ length }) => length) : []] : null;
  }));
}

export function mixtureIdentity(sources: readonly string[], weights: readonly number[]): string {
  return sha256Of({ sources, weights });
}

/**
 * Returns the identity of a task's generator for a seed. It depends on the first samples that the task draws, not on the task's
 * code.
 */
export function taskIdentity(task: Task, seed: number): string {
  return sha256Of(Array.from({ length: SAMPLES }, (_, i) => {
    const fields = Object.entries(drawSample(task, seed, i));
    // The field answerStart is hashed under its old name, so that the data of older checkpoints keeps its identity and they can
    // be resumed.
    return Object.fromEntries(fields.map(([name, x]) => [name === "answerStart" ? "answerFrom" : name, x]));
  }));
}
