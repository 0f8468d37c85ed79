// Glob patterns over dotted names, for selectors and hooks.
import { closestString } from "./errors.ts";

/** Maximum number of names whose results a pattern caches. */
const CACHED = 10_000;

/**
 * Returns a function that tests whether a dotted name matches a glob. In the glob, `*` matches any text without a dot, `**`
 * matches any text, and `**.` matches zero or more complete parts of a name.
 *
 * @example
 * ```ts
 * import { globOf } from "./mod.ts";
 * globOf("blocks.*.attn.*")("blocks.0.attn.q"); // true
 * globOf("**.bias")("final_norm.bias"); // true
 * ```
 */
export function globOf(pattern: string): (name: string) => boolean {
  if (!pattern.includes("*")) return (name) => name === pattern;
  const pieces = pattern.match(/\*\*\.|\*\*|\*|[^*]/gsu) ?? [];
  /** Adds a state (an index into `pieces`) and all states reachable from it without consuming a character. */
  const reach = (places: Set<number>, place: number) => {
    places.add(place);
    while (pieces[place]?.startsWith("*")) places.add(++place);
  };
  const start = new Set<number>();
  reach(start, 0);
  // Tracks all states at once (an NFA), because a regular expression with many stars can take exponential time.
  const matches = (name: string): boolean => {
    let at = start;
    for (const character of name) {
      const next = new Set<number>();
      for (const place of at) {
        // In state n + 0.5, piece n, which is a "**.", has matched some text and can end only after the next dot.
        const piece = pieces[Math.floor(place)];
        if (piece === "**." && character === ".") reach(next, Math.floor(place) + 1);
        if (piece === "**.") next.add(Math.floor(place) + 0.5);
        else if (piece === "**" || piece === "*" && character !== ".") reach(next, place);
        else if (piece === character) reach(next, place + 1);
      }
      at = next;
    }
    return at.has(pieces.length);
  };
  // Results are cached because a log repeats the same names at every step.
  const known = new Map<string, boolean>();
  return (name) => {
    const matched = known.get(name) ?? matches(name);
    if (known.size < CACHED) known.set(name, matched);
    return matched;
  };
}

/** Returns the length of the common prefix of two texts. */
export function commonStart(a: string, b: string): number {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return n;
}

/** Returns the pattern with every `*` replaced by `**` if the new pattern matches one of the names, otherwise undefined. */
export function deeperPattern(pattern: string, names: readonly string[]): string | undefined {
  const deep = pattern.replaceAll(/\*+/g, "**");
  return names.some(globOf(deep)) ? deep : undefined;
}

/**
 * Returns a suggestion for a pattern that matches none of the names, to end a message with. It suggests the pattern with
 * `**` for `*` if that matches a name, otherwise the closest name. If there is no such name, it lists up to 12 names,
 * beginning with those that have the longest common prefix with the pattern.
 */
export function patternHint(pattern: string, names: readonly string[]): string {
  const near = deeperPattern(pattern, names) ?? closestString(pattern, names);
  if (near !== undefined) return `Did you mean "${near}"?`;
  const like = [...new Set(names)].sort((a, b) => commonStart(pattern, b) - commonStart(pattern, a));
  const more = like.length > 12 ? ` and ${like.length - 12} more` : "";
  return like.length === 0 ? "There is no name to match." : `Known: ${like.slice(0, 12).join(", ")}${more}.`;
}
