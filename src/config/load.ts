// Loads a Config from a path or a bare name on the command line; all file access of src/config is here.

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
      }: no such file, and no such configuration in configs/; for the synthetic task set ` +
        `data.source=${path}.`;
    }
    const stem = (name: string) => parse(name).name;
    const names = (await yamlNames("configs/") ?? []).map(stem);
    const known = [...new Set([...names, ...Object.keys(SHIPPED_CONFIGS)])].sort();
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

/**
 * Where a configuration was found: its file or, for a shipped configuration, its text. `place` is its name in error
 * messages.
 */
export type Located = { place: string; file?: string; shipped?: string };

/** Finds the configuration that a path or a bare name refers to. */
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
 * Finds all configurations that a path or a bare name refers to. The bare name `small` refers to `configs/small.yaml` and
 * every `configs/small-*.yaml`, which are returned in the order of their names.
 */
export async function locateAll(path: string): Promise<Located[]> {
  if (isBare(path) && await kindOf(path) !== "file") {
    const here = (await yamlNames("configs/") ?? []).map((name) => parse(name)).filter(({ ext }) =>
      ext === ".yaml"
    );
    const chosen = (names: readonly string[]) =>
      names.filter((name) => name === path || name.startsWith(`${path}-`)).sort();
    const matches = chosen(here.map(({ name }) => name)).map((name) => `configs/${name}.yaml`);
    if (matches.length > 0) return matches.map((place) => ({ file: place, place }));
    const shipped = chosen(Object.keys(SHIPPED_CONFIGS));
    if (shipped.length > 0) {
      return shipped.map((name) => ({ shipped: SHIPPED_CONFIGS[name], place: `configs/${name}.yaml` }));
    }
  }
  return [await locate(path)];
}

/** Reads a configuration as a raw mapping, without validation. */
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
 * Reads a configuration, applies the overrides in order and resolves it.
 *
 * @param path a YAML file, or a bare name such as `nanogpt_cpu`: `configs/nanogpt_cpu.yaml` in the working directory, else
 *   the configuration that heed ships under that name
 * @param overrides as for `applyOverride`
 * @throws {UserError} if the file is missing (the message suggests the nearest name) or if the file or an override is
 * invalid
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
