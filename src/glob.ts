// Patterns over names of parts joined by dots, as selectors and hooks use them.

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
