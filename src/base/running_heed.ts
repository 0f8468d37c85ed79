// Resolves a user file's import of heed to the copy of heed that is running, because graphs, devices and errors of a second
// copy would be incompatible with it. A bundle has no mod.ts to load, so its script provides the exports.
import project from "../../deno.json" with { type: "json" };
import { refuseEndlessSync } from "./whole_file.ts";
import { closestString, didYouMean, UserError } from "./errors.ts";
import { localFile } from "./import_specifiers.ts";
import { currentName, EXPORTS, type Exports, pathsOf, running } from "./renamed.ts";

/** Package names with which heed can be imported from any folder. */
const NAMES = ["heed", "@heed/heed"];

/** The folder of heed's sources; undefined in a bundle. */
const ROOT = import.meta.url.endsWith("/src/base/running_heed.ts")
  ? new URL("../../", import.meta.url).href
  : undefined;

/** URL of heed's module in a bundle. */
const BUNDLED = "heed:running";

/** Paths of the entry points (`exports` of deno.json) relative to ROOT, keyed by name. */
const DOORS: ReadonlyMap<string, string> = new Map(
  Object.entries(project.exports).map(([key, path]) => [key.slice(2), path.slice(2)]),
);

/**
 * Maps URLs to whether they belong to heed. This is decided only once per URL, because a module that was taken for heed's
 * own was not hashed and must not be imported as user code later.
 */
const decided = new Map<string, boolean>();

function isCheckout(folder: string): boolean {
  if (folder === ROOT) return true;
  try {
    const file = new URL("deno.json", folder);
    refuseEndlessSync(file);
    return NAMES.includes(JSON.parse(Deno.readTextFileSync(file)).name);
  } catch {
    return false;
  }
}

function isAbsent(url: string): boolean {
  try {
    Deno.statSync(new URL(url));
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function decide(url: string): boolean {
  const folders = url.matchAll(/\/(?=mod\.ts$|src\/|kernels\/)/g);
  if (Array.from(folders, ({ index }) => url.slice(0, index + 1)).some(isCheckout)) return true;
  // A bundle may run on a machine without the sources that a file imports by path.
  return ROOT === undefined && url.endsWith("/mod.ts") && isAbsent(url);
}

/**
 * Returns whether a URL is a source file of this or another checkout of heed. In a bundle, a missing mod.ts counts as one
 * too.
 */
export const isHeed = (url: string): boolean => decided.getOrInsertComputed(url, decide);

/**
 * Returns the name of the entry point that a specifier refers to: "chart" for `@heed/heed/chart`, "" for mod.ts, and
 * undefined if the specifier does not refer to heed.
 */
function roomOf(specifier: string): string | undefined {
  const name = NAMES.find((name) => specifier === name || specifier.startsWith(`${name}/`));
  return name === undefined ? undefined : specifier.slice(name.length + 1);
}

export const namesHeed = (specifier: string): boolean => roomOf(specifier) !== undefined;

/** Provides the exports of mod.ts to user files that import heed. */
export function provideHeed(exports: Exports): void {
  running[EXPORTS] = exports;
}

/** Specifiers with which user files have imported heed. */
const specifiers = new Set<string>();

let registered: Promise<void> | undefined;

/** Registers module hooks that resolve a user file's import of heed to the running copy; later calls do nothing. */
export const giveRunningHeed = (): Promise<void> => registered ??= register();

/** Returns whether a bare name was resolved as a path. With module hooks, Deno 2.9 does this for an unknown module. */
function isUnknown(specifier: string, from: string, url: string): boolean {
  return from.startsWith("file:") && !/^(\.{0,2}\/|\.{1,2}$|[a-z][a-z\d+.-]*:|#)/i.test(specifier) &&
    url === new URL(specifier, from).href;
}

/**
 * Returns the URL of an entry point; throws UserError if there is no entry point with that name, or if heed runs from a
 * bundle.
 */
function doorOf(room: string, specifier: string): string {
  const path = DOORS.get(room);
  if (path === undefined) {
    throw new UserError(`"${specifier}" is not an entry point of heed.${didYouMean(room, DOORS.keys())}`);
  }
  if (ROOT !== undefined) return ROOT + path;
  throw new UserError(`"${specifier}" is not in a bundle, which has mod.ts alone; expected "heed".`);
}

async function register(): Promise<void> {
  // Imported here because it is slow to load and needed only for user files.
  const { registerHooks } = await import("node:module");
  const face = ROOT === undefined ? BUNDLED : `${ROOT}mod.ts`;
  registerHooks({
    resolve(specifier, context, next) {
      const from = context.parentURL ?? "";
      const fromHeed = from === import.meta.url || ROOT !== undefined && isHeed(from);
      const local = fromHeed || !from.startsWith("file:") ? undefined : localFile(specifier, from);
      const room = roomOf(specifier);
      if (room) {
        specifiers.add(specifier);
        return next(doorOf(room, specifier), context);
      }
      if (room === undefined && (local === undefined || !isHeed(local))) {
        const resolved = next(specifier, context);
        if (!isUnknown(specifier, from, resolved.url)) return resolved;
        throw new UserError(`"${specifier}" is not a module; expected "heed", a path or a URL.`);
      }
      specifiers.add(specifier);
      if (ROOT !== undefined && local?.startsWith(ROOT) && local !== face) return next(local, context);
      const door = [...DOORS.values()].findLast((path) => local?.endsWith(`/${path}`));
      if (ROOT !== undefined) return next(ROOT + (door ?? "mod.ts"), context);
      if (running[EXPORTS] !== undefined) return { url: face, format: "module", shortCircuit: true };
      // If another script imports this bundle, this is a bundle of mod.ts.
      if (!import.meta.main) return next(import.meta.url, context);
      throw new UserError(
        `${specifier} is not in this bundle; expected \`import * as heed\` passed to runCommand.`,
      );
    },
    // Without a load hook, Deno 2.9 resolves a file's imports before it calls resolve().
    load(url, context, next) {
      if (url !== BUNDLED) return next(url, context);
      const names = Object.keys(running[EXPORTS]!).map((name) => `export const ${name} = heed.${name};\n`);
      const source = `const heed = globalThis[Symbol.for("heed.exports")];\n${names.join("")}`;
      return { format: "module", source, shortCircuit: true };
    },
  });
}

/** Returns the specifier of the entry point that exports a name; undefined if there is none, as in a bundle. */
async function doorWith(name: string): Promise<string | undefined> {
  for (const [room, path] of ROOT === undefined ? [] : DOORS) {
    if (Object.hasOwn(await import(ROOT + path), name)) return `${NAMES[1]}/${room}`;
  }
}

/** Returns the message for a failed import of a name that heed does not export, or undefined for any other error. */
export async function missingExport(message: string): Promise<string | undefined> {
  const [, specifier, name] =
    /^The requested module '(.*)' does not provide an export named '(.*)'/.exec(message) ?? [];
  if (!specifiers.has(specifier)) return undefined;
  const missing = `${namesHeed(specifier) ? specifier : `heed (${specifier})`} exports no "${name}"`;
  const paths = pathsOf(running[EXPORTS] ?? (ROOT === undefined ? {} : await import(`${ROOT}mod.ts`)));
  const path = paths.get(currentName(name));
  if (path !== undefined) return `${missing}; it is "${path}" now.`;
  const door = await doorWith(currentName(name));
  if (door !== undefined) return `${missing}; import "${currentName(name)}" from "${door}".`;
  const near = closestString(name, paths.keys());
  return `${missing}.${near === undefined ? "" : ` Did you mean "${paths.get(near)}"?`}`;
}
