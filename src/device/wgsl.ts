// WGSL templates. A .wgsl file is plain WGSL except for lines that begin with `//!`, which are expanded here before
// compilation:
//   //! for r in 0..ROWS   ...   //! end     the lines between, once per r, with `$r` replaced by its value
//                                           (one letter, so that `$ru` is a literal and `c$r_0` a name)
//   //! if CONDITION  ...  //! else  ...  //! end
//   //! insert NAME                          text that the operation supplies (an expression's code)
//   //! each i in 0..COUNT  ...  //! end     `main` with the lines between as its body, one invocation per `i`; COUNT is
//                                           WGSL. `by LANES`: size of a workgroup (default: 64u). `over LANES`: the lanes
//                                           of one workgroup, numbered by `lane`, share each `i` (1: a single invocation)
// Loops are unrolled here because the driver's compiler does not unroll them. Unrolling doubles the speed on a software
// adapter.
import { didYouMean } from "../base/errors.ts";
import type { Dispatch } from "../graph/tensor.ts";

type Scope = Record<string, number | boolean | string>;

/** Evaluates an expression in the constants as JavaScript would; an unknown name has the value 0. */
function evaluate(expression: string, scope: Scope): number {
  const text = expression.replace(/[A-Za-z_]\w*/g, (name) => String(Number(scope[name] ?? 0)));
  if (!/^[\d\s+\-*/%()<>=!&|.?:]*$/.test(text)) throw new SyntaxError(`Template expression: ${expression}`);
  return Number(new Function(`return (${text});`)());
}

const WORDS = ["for", "if", "else", "end", "insert", "each"];

/**
 * Returns the word and the rest of a template line, or undefined for a line of WGSL; throws if the line is neither.
 * `closing` calls it on every line of a block, so that an invalid line is found even in a block that the current constants
 * leave out.
 */
function directive(text: string): { word: string; rest: string } | undefined {
  const line = text.trim();
  if (!line.startsWith("//!")) return undefined;
  const [, word = "", rest = ""] = line.match(/^\/\/! (\w+)\s*(.*)$/) ?? [];
  if (!WORDS.includes(word)) {
    throw new SyntaxError(`Template line without a known word: ${line}.${didYouMean(word, WORDS)}`);
  }
  if (word === "for" && !FOR.test(rest)) {
    throw new SyntaxError(`Template loop is not "for x in FROM..TO" with one small letter: ${line}`);
  }
  if (word === "each" && !EACH.test(rest)) {
    throw new SyntaxError(
      `Template line is not "each x in 0..COUNT", optionally followed by "by SIZE" or "over LANES": ${line}`,
    );
  }
  return { word, rest };
}

const FOR = /^([a-z]) in (.+)\.\.(.+)$/;
const EACH = /^(\w+) in 0\.\.(.+?)(?: (by|over) (\w+))?$/;

/** Returns the first lines of `main`, which end an invocation whose index is beyond the last one. */
function mainHead(rest: string, scope: Scope): string {
  const [, name, count, how, size] = rest.match(EACH)!;
  const by = how === "by" ? size : "64u";
  const shared = how === "over" && evaluate(size, scope) > 1;
  const index = shared ? "group.y * groups.x + group.x" : `id.y * groups.x * ${by} + id.x`;
  const builtins = shared
    ? "@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32"
    : "@builtin(global_invocation_id) id: vec3u";
  const lane = how === "over" && !shared ? "  let lane = 0u;\n" : "";
  return `@compute @workgroup_size(${by})
fn main(${builtins}, @builtin(num_workgroups) groups: vec3u) {
  let ${name} = ${index};
${lane}  if (${name} >= ${count}) { return; }`;
}

/**
 * Returns the index of the `//! end` that closes the block opened at `open`, or of its `//! else` if `middle` is true and
 * it has one.
 */
function closing(lines: readonly string[], open: number, middle = false): number {
  let depth = 0;
  for (let i = open; i < lines.length; i++) {
    const word = directive(lines[i])?.word;
    if (word === "for" || word === "if" || word === "each") depth++;
    if (word === "else" && depth === 1 && middle) return i;
    if (word === "end" && --depth === 0) return i;
  }
  throw new SyntaxError(`Template block without end: ${lines[open]}`);
}

function expandLines(
  lines: readonly string[],
  scope: Scope,
  code: Readonly<Record<string, string>>,
): string[] {
  const out: string[] = [];
  const add = (expanded: readonly string[]) => expanded.forEach((line) => out.push(line));
  for (let i = 0; i < lines.length; i++) {
    const { word, rest } = directive(lines[i]) ?? { word: undefined, rest: "" };
    if (word === "for") {
      const [, name, from, to] = rest.match(FOR)!;
      const end = closing(lines, i);
      const body = lines.slice(i + 1, end);
      for (let value = evaluate(from, scope); value < evaluate(to, scope); value++) {
        const inner = body.map((text) => text.replaceAll(`$${name}`, String(value)));
        add(expandLines(inner, { ...scope, [name]: value }, code));
      }
      i = end;
    } else if (word === "each") {
      const end = closing(lines, i);
      add([mainHead(rest, scope), ...expandLines(lines.slice(i + 1, end), scope, code), "}"]);
      i = end;
    } else if (word === "if") {
      const end = closing(lines, i);
      const middle = closing(lines, i, true);
      const body = evaluate(rest, scope) ? lines.slice(i + 1, middle) : lines.slice(middle + 1, end);
      add(expandLines(body, scope, code));
      i = end;
    } else if (word === "insert") {
      if (code[rest.trim()] === undefined) throw new SyntaxError(`Template insert without text: ${rest}`);
      add(expandLines(code[rest.trim()].split("\n"), scope, code));
    } else if (word) {
      throw new SyntaxError(`Template line outside of a block: ${lines[i].trim()}`);
    } else {
      out.push(lines[i]);
    }
  }
  return out;
}

/**
 * Returns the WGSL of a dispatch: declarations of its constants, followed by its expanded template.
 *
 * @throws {SyntaxError} for an invalid template line, which the message quotes
 */
export function shaderOf({ source, constants, code }: Dispatch): string {
  const header = Object.entries(constants).map(([name, value]) => {
    if (typeof value === "boolean") return `const ${name}: bool = ${value};`;
    if (typeof value === "string") {
      return /^[a-z]/.test(value) ? `alias ${name} = ${value};` : `const ${name}: f32 = ${value};`;
    }
    return `const ${name}: u32 = ${value}u;`;
  });
  return [...header, ...expandLines(source.split("\n"), { ...constants }, code ?? {})].join("\n");
}

/** Maps each binding that a shader declares to its access: "read", or "read_write" if the shader may write it. */
export function bindingsOf(shader: string): Map<number, "read" | "read_write"> {
  const declared = shader.matchAll(/@binding\((\d+)\)\s*var<storage,\s*(read_write|read)>/g);
  return new Map([...declared].map(([, index, access]) => [Number(index), access as "read" | "read_write"]));
}
