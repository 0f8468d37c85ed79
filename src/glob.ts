// Patterns over names of parts joined by dots, as selectors and hooks use them.
import { nearest } from "./errors.ts";

/**
 * A glob over names of parts joined by dots: `*` is anything within one part, `**` anything at all, `**.` any parts or none.
 *
 * @example
 * ```ts
 * import { globOf } from "../mod.ts";
 * globOf("blocks.*.attn.*")("blocks.0.attn.q"); // true
 * globOf("**.bias")("final_norm.bias"); // true
 * ```
 */
export function globOf(pattern: string): (name: string) => boolean {
  const source = pattern.replaceAll(/\*\*\.|\*\*|\*|[\\^$+?.()[\]{}|]/g, (piece) => {
    if (piece === "**.") return "(?:.*\\.)?";
    if (piece === "**") return ".*";
    return piece === "*" ? "[^.]*" : `\\${piece}`;
  });
  const whole = new RegExp(`^${source}$`);
  return (name) => whole.test(name);
}

/** Letters that two texts begin with in common. */
function commonStart(a: string, b: string): number {
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
 *
 * @example
 * ```ts
 * import { patternHint } from "./glob.ts";
 * patternHint("blocks.0.attn.*", ["blocks.0.attn.wq.weight"]); // Did you mean "blocks.0.attn.**"?
 * ```
 */
export function patternHint(pattern: string, names: readonly string[]): string {
  const near = deeperPattern(pattern, names) ?? nearest(pattern, names);
  if (near !== undefined) return `Did you mean "${near}"?`;
  const like = [...new Set(names)].sort((a, b) => commonStart(pattern, b) - commonStart(pattern, a));
  const more = like.length > 12 ? ` and ${like.length - 12} more` : "";
  return like.length === 0 ? "There is no name to match." : `Known: ${like.slice(0, 12).join(", ")}${more}.`;
}
