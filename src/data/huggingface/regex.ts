// Translates Oniguruma's regular expressions, which tokenizer.json files contain, to JavaScript's. A pattern that JavaScript
// cannot express exactly is refused, because an almost equal pattern would give different tokens.

import { costOf, reversed, type Tree } from "./backtracking.ts";

/** @internal Thrown at an unsupported part of a pattern. */
export class Untranslatable extends Error {}

/** The white space that \s matches in Oniguruma and Rust; it includes U+0085 but not U+FEFF. */
const SPACE = "\\p{White_Space}";
/** The characters that \w of Oniguruma matches inside a class. */
const LETTERS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** The characters that \w of Oniguruma matches outside a class; they include superscripts and fractions of Latin-1. */
const WORD = `${LETTERS}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}`;

const CLASSES: Readonly<Record<string, string>> = {
  s: `[${SPACE}]`,
  S: `[^${SPACE}]`,
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  w: `[${WORD}]`,
  W: `[^${WORD}]`,
  h: "[0-9a-fA-F]",
  H: "[^0-9a-fA-F]",
};
const INNER_CLASSES = { ...CLASSES, w: `[${LETTERS}]`, W: `[^${LETTERS}]` };

const START = "(?<![^])";
const END = "(?![^])";

const ANCHORS: Readonly<Record<string, string>> = {
  b: `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
  B: `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`,
  A: START,
  z: END,
  Z: `(?=\\u{a}?${END})`,
};

const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, a: 7, e: 27 };

/** The supported properties. For each of them, all code points were compared between Oniguruma and JavaScript. */
const CATEGORIES = "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp";
const SCRIPTS =
  "Han Hiragana Katakana Hangul Latin Cyrillic Greek Arabic Hebrew Thai Devanagari Bengali Tamil";
const PROPERTIES = new Map([
  ...CATEGORIES.split(" ").map((name) => [name.toLowerCase(), `{${name}}`] as const),
  ...SCRIPTS.split(" ").map((name) => [name.toLowerCase(), `{Script=${name}}`] as const),
]);

/**
 * Pairs of letters that a ligature matches too if case is ignored. They are refused, because JavaScript folds the case of single
 * characters only.
 */
const LIGATURES = new Set(["ss", "st", "ff", "fi", "fl"]);

const hex = (code: number) => `\\u{${code.toString(16)}}`;

interface Part {
  readonly source: string;
  readonly empty: boolean;
  /** True if the part is a zero-width assertion. */
  readonly looks?: boolean;
  readonly tree: Tree;
}

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

/**
 * @internal Returns the JavaScript expression that is equivalent to Oniguruma's `pattern`. The expression is sticky if it may
 * read characters repeatedly. `empty` is true if the expression can match the empty string.
 */
export function translated(pattern: string): { pattern: RegExp; empty: boolean } {
  const reader = new Reader(pattern);
  const { source, empty, tree } = reader.alternatives({ ignoreCase: false, dotAll: false });
  if (reader.more()) throw new Untranslatable(`")" at ${reader.at}`);
  const rereads = checkedCost(tree) || reader.rereads;
  return { pattern: new RegExp(source, rereads ? "yv" : "gv"), empty };
}

const setOf = (source: string, { ignoreCase }: Flags): Tree => {
  return { kind: "set", source: ignoreCase ? `(?i:${source})` : source };
};
const LOOK: Tree = { kind: "look" };

/** Returns true if a part may read characters repeatedly; throws Untranslatable if the part backtracks catastrophically. */
function checkedCost(tree: Tree): boolean {
  const { fault, rereads } = costOf(tree);
  if (fault !== undefined) throw new Untranslatable(`${fault}, which backtracks catastrophically`);
  return rereads;
}

class Reader {
  at = 0;
  /** True if a group or a lookaround that was read may read characters repeatedly. */
  rereads = false;
  readonly #characters: readonly string[];
  #atomics = 0;
  #behind = 0;
  /** The preceding letter if case is ignored, otherwise the empty string. */
  #letter = "";

  constructor(pattern: string) {
    this.#characters = [...pattern];
  }

  more(): boolean {
    return this.at < this.#characters.length;
  }

  #peek(text: string): boolean {
    return this.#characters.slice(this.at, this.at + text.length).join("") === text;
  }

  #take(text: string): boolean {
    const there = this.#peek(text);
    if (there) this.at += text.length;
    return there;
  }

  #next(): string {
    return this.#characters[this.at++] ?? this.#fail("the end", 0);
  }

  /** Refuses the previous `length` characters. */
  #fail(what?: string, length = 1): never {
    const from = Math.max(0, this.at - length);
    throw new Untranslatable(
      `${what ?? JSON.stringify(this.#characters.slice(from, this.at).join(""))} at ${from}`,
    );
  }

  /** Reads the pattern up to its end or up to a ")". */
  alternatives(flags: Flags): Part {
    const all: Part[] = [];
    do {
      this.#letter = "";
      all.push(this.#sequence(flags));
    } while (this.#take("|"));
    return {
      source: all.map(({ source }) => source).join("|"),
      empty: all.some(({ empty }) => empty),
      tree: all.length === 1 ? all[0].tree : { kind: "alternatives", parts: all.map(({ tree }) => tree) },
    };
  }

  #sequence(flags: Flags): Part {
    let source = "";
    let empty = true;
    const parts: Tree[] = [];
    while (this.more() && !this.#peek("|") && !this.#peek(")")) {
      const atom = this.#quantified(this.#atom(flags));
      source += atom.source;
      empty &&= atom.empty;
      parts.push(atom.tree);
    }
    return { source, empty, tree: { kind: "sequence", parts } };
  }

  #quantified(atom: Part): Part {
    const from = this.at;
    const short = ["*", "+", "?"].find((sign) => this.#take(sign));
    const [least, most] = short === undefined
      ? this.#interval() ?? [undefined]
      : short === "?"
      ? [0, 1]
      : [short === "*" ? 0 : 1, Infinity];
    if (least === undefined) return atom;
    this.#letter = "";
    const fail = () => this.#fail(undefined, this.at - from);
    if (atom.looks || (atom.empty && most === Infinity)) fail();
    const plain = `(?:${atom.source}){${least},${most === Infinity ? "" : most}}`;
    const empty = atom.empty || least === 0;
    const once: Tree = { kind: "repeat", part: atom.tree, least, most };
    let tree = once;
    let translation: string;
    if (short === undefined) {
      // "{2}?" is refused, because its meaning differs between dialects. In Oniguruma, the "+" of "{1,3}+" repeats the whole
      // repetition.
      if (this.#take("?")) translation = least === most ? fail() : `${plain}?`;
      else if (this.#take("+")) {
        translation = empty ? fail() : `(?:${plain})+`;
        tree = { kind: "repeat", part: once, least: 1, most: Infinity };
      } else translation = plain;
    } else if (this.#take("+")) translation = this.#atomic({ source: plain, tree });
    else translation = this.#take("?") ? `${plain}?` : plain;
    if (["*", "+", "?"].some((sign) => this.#peek(sign)) || this.#interval()) fail();
    return { source: translation, empty, tree };
  }

  /** Reads "{2}", "{2,}", "{,3}" or "{2,3}"; any other brace is a literal. */
  #interval(): [number, number] | undefined {
    if (!this.#peek("{")) return undefined;
    const [written, from, comma, to] =
      /^\{(\d*)(,?)(\d*)\}/.exec(this.#characters.slice(this.at, this.at + 16).join("")) ?? [];
    if (written === undefined || from + to === "") return undefined;
    this.at += written.length;
    const least = from === "" ? 0 : Number(from);
    const most = comma === "" ? least : to === "" ? Infinity : Number(to);
    if (least > most || least > 1000 || (most > 1000 && most < Infinity)) {
      this.#fail(undefined, written.length);
    }
    return [least, most];
  }

  /**
   * Returns an atomic group. JavaScript has no atomic groups, so the group is written as a lookahead, which is atomic, and a
   * back-reference to its match.
   */
  #atomic({ source, tree }: Pick<Part, "source" | "tree">): string {
    this.rereads = checkedCost(tree) || this.rereads;
    if (this.#behind > 0) this.#fail("an atomic group in a lookbehind", 0);
    const name = `atomic${this.#atomics++}`;
    return `(?=(?<${name}>${source}))\\k<${name}>`;
  }

  #atom(flags: Flags): Part {
    const character = this.#next();
    const looks = (source: string): Part => ({ source, empty: true, looks: true, tree: LOOK });
    const one = (source: string): Part => {
      this.#letter = "";
      return { source, empty: false, tree: setOf(source, flags) };
    };
    switch (character) {
      case "(":
        return this.#group(flags);
      case "[":
        return one(this.#class(flags, false));
      case ".":
        return one(flags.dotAll ? "[^]" : "[^\\u{a}]");
      case "^":
        return looks(`(?:${START}|(?<=\\u{a})(?=[^]))`);
      case "$":
        return looks("(?![^\\u{a}])");
      case "*":
      case "+":
      case "?":
        return this.#fail();
      case "\\": {
        const escape = this.#characters[this.at];
        if (Object.hasOwn(ANCHORS, escape ?? "")) {
          this.at++;
          return looks(ANCHORS[escape]);
        }
        const read = this.#escape(flags, CLASSES);
        return typeof read === "string" ? one(read) : this.#literal(read, flags);
      }
      default:
        return this.#literal(character.codePointAt(0)!, flags);
    }
  }

  #literal(code: number, flags: Flags): Part {
    if (flags.ignoreCase) {
      const letter = String.fromCodePoint(code).toLowerCase();
      if (code > 127 || LIGATURES.has(this.#letter + letter)) this.#fail("ignored case here", 0);
      this.#letter = letter;
    }
    return { source: hex(code), empty: false, tree: setOf(hex(code), flags) };
  }

  #group(flags: Flags): Part {
    const close = (part: Part): Part => {
      if (!this.#take(")")) this.#fail("an unclosed group", 0);
      return part;
    };
    const inside = (changed = flags) => close(this.alternatives(changed));
    if (!this.#take("?")) return this.#wrapped("(?:", inside());
    for (const [open, looks] of [["=", "(?="], ["!", "(?!"], ["<=", "(?<="], ["<!", "(?<!"]]) {
      if (!this.#take(open)) continue;
      const behind = open.startsWith("<") ? 1 : 0;
      this.#behind += behind;
      const { source, tree } = inside();
      this.#behind -= behind;
      // Any repetition in a lookaround rereads, because the lookaround is tried again at each character.
      this.rereads = checkedCost(behind ? reversed(tree) : tree) || this.rereads || /[*+,]/.test(source);
      return { source: `${looks}${source})`, empty: true, looks: true, tree: LOOK };
    }
    if (this.#take(":")) return this.#wrapped("(?:", inside());
    if (this.#take(">")) {
      const part = inside();
      return { ...part, source: this.#atomic(part) };
    }
    const from = this.at;
    const written = this.#characters.slice(from, from + 8).join("");
    const [options, on, off] = /^([im]*)(?:-([im]+))?(?=[:)])/.exec(written) ?? this.#fail('"(?"', 0);
    this.at += options.length;
    const changed = {
      ignoreCase: on.includes("i") || (flags.ignoreCase && !off?.includes("i")),
      dotAll: on.includes("m") || (flags.dotAll && !off?.includes("m")),
    };
    const open = changed.ignoreCase === flags.ignoreCase ? "(?:" : changed.ignoreCase ? "(?i:" : "(?-i:";
    if (this.#take(":")) return this.#wrapped(open, inside(changed));
    // Options without a group apply up to the end of the enclosing group, including its alternatives.
    this.at++;
    return this.#wrapped(open, this.alternatives(changed));
  }

  #wrapped(open: string, part: Part): Part {
    return { ...part, source: `${open}${part.source})` };
  }

  /** Reads what follows a backslash: a code point or a class. */
  #escape({ ignoreCase }: Flags, classes: Readonly<Record<string, string>>): number | string {
    const from = this.at;
    const character = this.#next();
    const fail = () => this.#fail(undefined, this.at - from + 1);
    if (Object.hasOwn(CONTROLS, character)) return CONTROLS[character];
    if (Object.hasOwn(classes, character)) {
      return ignoreCase && /w/i.test(character) ? fail() : classes[character];
    }
    const rest = this.#characters.slice(this.at, this.at + 40).join("");
    if (character === "p" || character === "P") {
      const [written, not, name] = /^\{(\^?)([\w ]+)\}/.exec(rest) ?? fail();
      this.at += written.length;
      const property = PROPERTIES.get(name.toLowerCase());
      if (property === undefined || ignoreCase) return fail();
      return `\\${(not === "") === (character === "p") ? "p" : "P"}${property}`;
    }
    if (character === "x" || character === "u") {
      const form = character === "u" ? /^[\da-f]{4}/i : /^(?:\{[\da-f]{1,6}\}|[0-7][\da-f])/i;
      const [written] = form.exec(rest) ?? fail();
      this.at += written.length;
      const code = Number.parseInt(written.replace("{", ""), 16);
      return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? fail() : code;
    }
    if (/^[!-\/:-@\[-`{-~ ]$/.test(character)) return character.codePointAt(0)!;
    return fail();
  }

  #class(flags: Flags, inner: boolean): string {
    const from = this.at;
    const fail = () => this.#fail(undefined, this.at - from);
    const not = this.#take("^");
    if ((not && flags.ignoreCase) || this.#peek("]") || (inner && this.#peek(":"))) fail();
    let source = "";
    while (!this.#take("]")) {
      if (!this.more() || this.#peek("&&")) fail();
      if (this.#take("[")) {
        source += this.#class(flags, true);
        continue;
      }
      const low = this.#classItem(flags);
      const isRange = this.#peek("-") && this.#characters[this.at + 1] !== "]";
      if (typeof low === "string") {
        if (isRange) fail();
        source += low;
      } else if (!isRange) source += hex(low);
      else {
        this.at++;
        const high = this.#peek("[") ? fail() : this.#classItem(flags);
        if (typeof high === "string" || high < low || (flags.ignoreCase && high > 127)) fail();
        source += `${hex(low)}-${hex(high as number)}`;
      }
    }
    return `[${not ? "^" : ""}${source}]`;
  }

  #classItem(flags: Flags): number | string {
    const character = this.#next();
    if (character === "\\") return this.#escape(flags, INNER_CLASSES);
    const code = character.codePointAt(0)!;
    if (flags.ignoreCase && code > 127) this.#fail("ignored case here", 0);
    return code;
  }
}
