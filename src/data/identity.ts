// The identity of a run's data as one SHA-256: independent of where the files are, different if any character changes.
import { sha256Hex } from "../base/hash.ts";
import type { LoadedBytes } from "./corpora.ts";
import { drawSample } from "./synthetic.ts";
import type { Task } from "./task.ts";

/** Number of samples that identify a generator. */
const SAMPLES = 256;

const sha256Of = (value: unknown): string => sha256Hex(JSON.stringify(value));

/**
 * The identity of the text and of the texts of separate splits: depends on the SHA-256 of each and, if files are `cut` into
 * samples, on the file lengths in bytes, but not on names or paths.
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

/** The identity of a task's generator under a seed: depends on the samples it draws, not on its code. */
export function taskIdentity(task: Task, seed: number): string {
  return sha256Of(Array.from({ length: SAMPLES }, (_, i) => {
    const fields = Object.entries(drawSample(task, seed, i));
    // Hashed under the field's old name, so that older checkpoints keep their identity and can be resumed.
    return Object.fromEntries(fields.map(([name, x]) => [name === "answerStart" ? "answerFrom" : name, x]));
  }));
}
