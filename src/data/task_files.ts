// Loads synthetic tasks from a user's TypeScript file, which exports functions that draw a sample from a random stream.
import { parse } from "node:path";
import { callUser, UserError } from "../base/errors.ts";
import { checkKeys, describe, exportsOf, isRecord } from "../base/user_file.ts";
import { checkSample, drawSample } from "./synthetic.ts";
import type { Task } from "./task.ts";

/** Number of samples drawn to determine a task's alphabet. */
const ALPHABET_SAMPLES = 1000;

/** Returns all characters in the first samples of a task that states no alphabet. */
function alphabetOf(task: Task): string {
  const characters = new Set<string>();
  for (let i = 0; i < ALPHABET_SAMPLES; i++) for (const c of drawSample(task, 0, i).text) characters.add(c);
  characters.delete("\n");
  return [...characters].sort().join("");
}

function taskOf(file: string, name: string, value: unknown): Task | undefined {
  if (isRecord(value)) checkKeys(`${file}: ${name}`, value, ["name", "alphabet", "sample"]);
  const record = typeof value === "function" ? { sample: value } : value as Partial<Task> | null;
  if (typeof record !== "object" || typeof record?.sample !== "function") return undefined;
  const task: Task = { name, alphabet: "", ...record as Pick<Task, "sample"> };
  const place = `${file}: ${name}`;
  for (const key of ["name", "alphabet"] as const) {
    if (typeof task[key] === "string") continue;
    throw new UserError(`${place}: ${key}: expected text, found ${describe(task[key])}.`);
  }
  const sample: Task["sample"] = (rng) => checkSample(place, callUser(place, () => task.sample(rng)));
  return { ...task, sample, alphabet: task.alphabet || alphabetOf({ ...task, sample }) };
}

/**
 * Loads the tasks of a user's file and returns them keyed by name. Each export is a `Task`, or a function `(rng) => ({ text,
 * answerStart })` that draws all random numbers from `rng`. A function becomes a task with the name of the export, whose alphabet
 * consists of the characters in its first 1000 samples. A task with rarer characters has to be a `Task` that states its
 * `alphabet`.
 *
 * @throws UserError if the file does not load or has no task, or a task does not return a sample
 *
 * @example A task in a separate file
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
  const exported = await exportsOf(file, "data.tasks");
  const tasks = Object.entries(exported).flatMap(([name, value]) =>
    taskOf(file, name === "default" ? parse(file).name : name, value) ?? []
  );
  if (tasks.length > 0) return Object.fromEntries(tasks.map((task) => [task.name, task]));
  const names = Object.keys(exported).join(", ") || "nothing";
  throw new UserError(
    `data.tasks: expected ${file} to export a function (rng) => ({ text, answerStart }) or a task, found ${names}.`,
  );
}

/** Returns the overrides that `--tasks FILE` stands for. They set `data.source` to the file's first task; a later override may
 * set another source.
 * @category Data */
export async function taskOverrides(file: string): Promise<string[]> {
  const [first] = Object.keys(await loadTasks(file));
  return [`data.tasks=${JSON.stringify(file)}`, `data.source=${JSON.stringify(first)}`];
}
