// Patterns over names of parts joined by dots, as selectors and hooks use them.

/**
 * A glob over names of parts joined by dots: `*` is any one part (or a piece of it), `**` any number of parts, also none.
 *
 * @example
 * ```ts
 * import { globOf } from "../mod.ts";
 * globOf("blocks.*.attn.*")("blocks.0.attn.q"); // true
 * globOf("**.bias")("final_norm.bias"); // true
 * ```
 */
export function globOf(pattern: string): (name: string) => boolean {
  const escaped = (text: string) => text.replaceAll(/[\\^$+?()[\]{}|]/g, "\\$&");
  const source = pattern.split(".").map((part, i, parts) => {
    const dot = i < parts.length - 1;
    if (part !== "**") return escaped(part).replaceAll("*", "[^.]*") + (dot ? "\\." : "");
    return dot ? "(?:[^.]+\\.)*" : "[^.]+(?:\\.[^.]+)*";
  }).join("");
  const whole = new RegExp(`^${source}$`);
  return (name) => whole.test(name);
}
