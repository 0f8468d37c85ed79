// Patterns over names of parts joined by dots, as selectors and hooks use them.
import { closestString } from "./errors.ts";

/** Names that a pattern remembers. */
const REMEMBERED = 10_000;

/**
 * A glob over names of parts joined by dots: `*` is anything within one part, `**` anything at all, `**.` any parts or none.
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
  /** Adds a place between pieces, and those behind it that are reached without a character. */
  const reach = (places: Set<number>, place: number) => {
    places.add(place);
    while (pieces[place]?.startsWith("*")) places.add(++place);
  };
  const start = new Set<number>();
  reach(start, 0);
  // All places at once: a regular expression tries them one after another, and for many stars never ends.
  const matches = (name: string): boolean => {
    let at = start;
    for (const character of name) {
      const next = new Set<number>();
      for (const place of at) {
        // Halves are inside of "**.", which is left behind a dot alone.
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
  // A log has the same names at every step.
  const known = new Map<string, boolean>();
  return (name) => {
    const found = known.get(name) ?? matches(name);
    if (known.size < REMEMBERED) known.set(name, found);
    return found;
  };
}

/** Letters that two texts begin with in common. */
export function commonStart(a: string, b: string): number {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return n;
}

/** The pattern with `**` for each `*`, where that matches one of the names. */
export function deeperPattern(pattern: string, names: readonly string[]): string | undefined {
  const deep = pattern.replaceAll(/\*+/g, "**");
  return names.some(globOf(deep)) ? deep : undefined;
}

/**
 * What to write instead of a pattern that matches none of some names, as the end of a message: the pattern with `**` for
 * `*` where that matches, the nearest name, or the first few of those that begin like it.
 */
export function patternHint(pattern: string, names: readonly string[]): string {
  const near = deeperPattern(pattern, names) ?? closestString(pattern, names);
  if (near !== undefined) return `Did you mean "${near}"?`;
  const like = [...new Set(names)].sort((a, b) => commonStart(pattern, b) - commonStart(pattern, a));
  const more = like.length > 12 ? ` and ${like.length - 12} more` : "";
  return like.length === 0 ? "There is no name to match." : `Known: ${like.slice(0, 12).join(", ")}${more}.`;
}
