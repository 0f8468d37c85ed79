// From a path or a bare name on the command line to a Config: all that this room asks of the disk.

import { readWhole } from "../base/whole_file.ts";
import { basename, dirname, parse } from "node:path";
import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { withHookKeys } from "./hook_keys.ts";
import { applyOverride } from "./override.ts";
import { resolveConfig } from "./resolve.ts";
import type { Config } from "./schema.ts";
import { SHIPPED_CONFIGS } from "./shipped.ts";
import { describeValue } from "../base/show.ts";
import { SYNTHETIC_SOURCES } from "./cross_checks.ts";
import { parseConfig } from "./yaml.ts";

function isBare(path: string): boolean {
  return path !== "" && parse(path).dir === "" && parse(path).ext === "";
}

async function kindOf(path: string): Promise<"file" | "folder" | "missing"> {
  try {
    return (await Deno.stat(path)).isDirectory ? "folder" : "file";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return "missing";
    throw new UserError(`${describeValue(path)}: it cannot be read: ${reason(error)}`);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0] : String(error);
}

async function yamlNames(folder: string): Promise<string[] | undefined> {
  try {
    const names: string[] = [];
    for await (const entry of Deno.readDir(folder)) if (/\.ya?ml$/.test(entry.name)) names.push(entry.name);
    return names.sort();
  } catch {
    return undefined;
  }
}

async function missingMessage(path: string): Promise<string> {
  const [folder, file] = [dirname(path), basename(path)];
  const here = await yamlNames(folder);
  if (isBare(path)) {
    if (SYNTHETIC_SOURCES.includes(path)) {
      return `${
        describeValue(path)
      }: no such file, and no such configuration in configs/; it is a synthetic task: ` +
        `data.source=${path} takes it.`;
    }
    const stem = (name: string) => parse(name).name;
    const own = (await yamlNames("configs/") ?? []).map(stem);
    const known = [...new Set([...own, ...Object.keys(SHIPPED_CONFIGS)])].sort();
    const local = closestString(path, (here ?? []).map(stem));
    const near = closestString(path, known) ?? here?.find((name) => stem(name) === local);
    const remedy = near === undefined ? ` Known: ${known.join(", ")}.` : ` Did you mean "${near}"?`;
    return `${describeValue(path)}: no such file, and no such configuration in configs/.${remedy}`;
  }
  if (here === undefined) {
    return `${describeValue(path)}: no such file; ${describeValue(folder)} is not a folder that can be read.`;
  }
  const remedy = here.length === 0 ? " There is no YAML file in its folder." : didYouMean(file, here);
  return `${describeValue(path)}: no such file.${remedy}`;
}

/** A file, or the text of one that is shipped, and what to call it in messages. */
export type Located = { place: string; file?: string; shipped?: string };

/** The file that a path or bare name stands for. */
async function locate(path: string): Promise<Located> {
  const kind = await kindOf(path);
  if (kind === "file") return { file: path, place: path };
  if (isBare(path)) {
    const place = `configs/${path}.yaml`;
    if (await kindOf(place) === "file") return { file: place, place };
    if (Object.hasOwn(SHIPPED_CONFIGS, path)) return { shipped: SHIPPED_CONFIGS[path], place };
  }
  if (kind === "folder") throw new UserError(`${path}: expected a YAML file, found a folder.`);
  throw new UserError(await missingMessage(path));
}

/**
 * The files that a path or bare name stands for when several may run: `small` is `configs/small.yaml` and every
 * `configs/small-*.yaml` beside it, in the order of their names.
 */
export async function locateAll(path: string): Promise<Located[]> {
  if (isBare(path) && await kindOf(path) !== "file") {
    const here = (await yamlNames("configs/") ?? []).map((name) => parse(name)).filter(({ ext }) =>
      ext === ".yaml"
    );
    const chosen = (names: readonly string[]) =>
      names.filter((name) => name === path || name.startsWith(`${path}-`)).sort();
    const own = chosen(here.map(({ name }) => name)).map((name) => `configs/${name}.yaml`);
    if (own.length > 0) return own.map((place) => ({ file: place, place }));
    const shipped = chosen(Object.keys(SHIPPED_CONFIGS));
    if (shipped.length > 0) {
      return shipped.map((name) => ({ shipped: SHIPPED_CONFIGS[name], place: `configs/${name}.yaml` }));
    }
  }
  return [await locate(path)];
}

/** The mapping that a file holds. */
export async function readRaw({ file, shipped, place }: Located): Promise<Record<string, unknown>> {
  let source: string | Uint8Array;
  try {
    source = shipped ?? await readWhole(file!);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${place}: it cannot be read: ${reason(error)}`);
  }
  return parseConfig(source, place);
}

/**
 * Reads a configuration, applies the overrides in their order and resolves it.
 *
 * @param path a YAML file; or a bare name such as `nanogpt_cpu`, which is `configs/nanogpt_cpu.yaml` of the working
 *   folder or of the project where the working folder has no file of that name
 * @param overrides as `applyOverride` takes them
 * @throws {UserError} where the file is missing (with the nearest name there is) or a fault is in it or an override
 *
 * @example
 * ```ts
 * import { loadConfig } from "./load.ts";
 * const config = await loadConfig("nanogpt_cpu", ["model.dim=256", "train.steps=10"]);
 * config.model.dim; // 256
 * ```
 * @category Configuration
 */
export async function loadConfig(path: string, overrides: readonly string[]): Promise<Config> {
  const located = await locate(path);
  const { place } = located;
  const raw = overrides.reduce(applyOverride, await readRaw(located));
  return await withHookKeys(resolveConfig(raw, { place, name: parse(place).name, overrides }), place);
}
