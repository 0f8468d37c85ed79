// Which data a run reads, as one SHA-256: the same wherever the files lie, another where a character of them changes.
import { sha256Hex } from "../base/hash.ts";
import type { LoadedBytes } from "./corpora.ts";
import { drawSample } from "./synthetic.ts";
import type { Task } from "./task.ts";

/** Samples that tell one generator from another. */
const SAMPLES = 256;

const sha256Of = (value: unknown): string => sha256Hex(JSON.stringify(value));

/**
 * The identity of the text and of those of the splits that have their own: of the SHA-256 of each, and where files are `cut`
 * into samples of the lengths of their files in bytes. Names and paths are no part of it.
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

/** The identity of a task's generator under a seed: what it draws, whatever its code looks like. */
export function taskIdentity(task: Task, seed: number): string {
  return sha256Of(Array.from({ length: SAMPLES }, (_, i) => {
    const fields = Object.entries(drawSample(task, seed, i));
    // Its name when the first checkpoints were written, which go on only where the identity is theirs.
    return Object.fromEntries(fields.map(([name, x]) => [name === "answerStart" ? "answerFrom" : name, x]));
  }));
}
