// Synthetic tasks of a user's own: a TypeScript file that exports functions from random numbers to samples.
import { parse } from "node:path";
import { callUser, UserError } from "../base/errors.ts";
import { checkKeys, describe, exportsOf, isRecord } from "../base/user_file.ts";
import { checkSample, drawSample } from "./synthetic.ts";
import type { Task } from "./task.ts";

/** Samples that are drawn to see which characters a task has. */
const LOOKED_AT = 1000;

/** Every character of the first samples of a task that does not say which it has. */
function alphabetOf(task: Task): string {
  const characters = new Set<string>();
  for (let i = 0; i < LOOKED_AT; i++) for (const c of drawSample(task, 0, i).text) characters.add(c);
  characters.delete("\n");
  return [...characters].sort().join("");
}

function taskOf(file: string, name: string, found: unknown): Task | undefined {
  if (isRecord(found)) checkKeys(`${file}: ${name}`, found, ["name", "alphabet", "sample"]);
  const record = typeof found === "function" ? { sample: found } : found as Partial<Task> | null;
  if (typeof record !== "object" || typeof record?.sample !== "function") return undefined;
  const own: Task = { name, alphabet: "", ...record as Pick<Task, "sample"> };
  const place = `${file}: ${name}`;
  for (const key of ["name", "alphabet"] as const) {
    if (typeof own[key] === "string") continue;
    throw new UserError(`${place}: ${key}: expected text, found ${describe(own[key])}.`);
  }
  const sample: Task["sample"] = (rng) => checkSample(place, callUser(place, () => own.sample(rng)));
  return { ...own, sample, alphabet: own.alphabet || alphabetOf({ ...own, sample }) };
}

/**
 * The tasks of a user's file, by name. Each export is a function `(rng) => ({ text, answerStart })`, which takes all its
 * randomness from `rng` and has its name, or a whole `Task`. The characters of a function's task are those of its first
 * 1000 samples; a task whose rare characters come later says its `alphabet` itself.
 *
 * @throws UserError where the file does not load, has no task, or a task gives no sample
 *
 * @example A task in a file of its own
 * ```ts
 * import { loadTasks } from "./mod.ts";
 * await Deno.writeTextFile("double.ts", `
 *   export function double(rng) {
 *     const word = Array.from({ length: 4 }, () => "abc"[rng.below(3)]).join("");
 *     return { text: word + "=" + word + word, answerStart: 5 };
 *   }`);
 * console.log((await loadTasks("double.ts")).double.alphabet); // =abc
 * ```
 */
export async function loadTasks(file: string): Promise<Record<string, Task>> {
  const found = await exportsOf(file, "data.tasks");
  const tasks = Object.entries(found).flatMap(([name, value]) =>
    taskOf(file, name === "default" ? parse(file).name : name, value) ?? []
  );
  if (tasks.length > 0) return Object.fromEntries(tasks.map((task) => [task.name, task]));
  const names = Object.keys(found).join(", ") || "nothing";
  throw new UserError(
    `data.tasks: expected ${file} to export a function (rng) => ({ text, answerStart }) or a task, found ${names}.`,
  );
}

/** The overrides that `--tasks FILE` stands for: its first task is the source, unless another override says which.
 * @category Data */
export async function taskOverrides(file: string): Promise<string[]> {
  const [first] = Object.keys(await loadTasks(file));
  return [`data.tasks=${JSON.stringify(file)}`, `data.source=${JSON.stringify(first)}`];
}
