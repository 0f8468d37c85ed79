// Finds the modules that a TypeScript or JavaScript file imports, from its tokens and without running it. Comments, strings
// and regular expressions are skipped.

interface Token {
  readonly kind: "word" | "string" | "mark" | "other";
  readonly text: string;
  readonly at: number;
}

const BLANK = /(?:\s|\/\/.*|\/\*[^]*?\*\/)+/y;
const STRING = /"(?:[^"\\\n\r]|\\(?:\r\n|[^]))*"|'(?:[^'\\\n\r]|\\(?:\r\n|[^]))*'/y;
const REGEX = /\/(?![*/])(?:[^\\/[\n\r]|\\.|\[(?:[^\]\\\n\r]|\\.)*\])+\/[a-z]*/y;
const WORD = /[\p{ID_Continue}$\u200c\u200d\\#@]+/uy;
const MARK = /\.\.\.|\?\.(?!\d)|\+\+|--|=>|[^]/uy;
const TEMPLATE = /(?:[^`\\$]|\\[^]|\$(?!\{))*/y;

/** Words after which a slash begins a regular expression. */
const BEFORE_VALUE = new Set(
  "return typeof case do else in of instanceof new void delete throw yield await default".split(" "),
);
/** Words whose parentheses are not a value, so that a slash after the closing parenthesis begins a regular expression. */
const CONDITIONS = new Set(["if", "while", "for", "with"]);
const CLOSES: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

class Unreadable extends Error {}

/** Returns whether a `{` after this token opens a block rather than an object. */
function opensBlock(before: Token | undefined): boolean {
  if (before === undefined) return true;
  return before.kind === "word"
    ? !BEFORE_VALUE.has(before.text)
    : [")", ";", "{", "}", "=>"].includes(before.text);
}

/** An open bracket; `thenRegex` is true if a slash after its closing bracket begins a regular expression. */
interface Open {
  readonly mark: string;
  readonly thenRegex: boolean;
}

interface Scan {
  readonly text: string;
  readonly tokens: Token[];
  readonly open: Open[];
  at: number;
  regexMayFollow: boolean;
}

/** Matches a pattern at the scan's position and advances past it. */
function take(scan: Scan, pattern: RegExp): string | undefined {
  pattern.lastIndex = scan.at;
  const match = pattern.exec(scan.text)?.[0];
  if (match !== undefined) scan.at += match.length;
  return match;
}

/** Scans a template literal from after its backtick, or after the `}` of a placeholder, to the next `${` or its end. */
function template(scan: Scan, start: number, fromStart: boolean): void {
  const body = take(scan, TEMPLATE)!;
  const goesOn = scan.text.startsWith("${", scan.at);
  if (!goesOn && scan.text[scan.at] !== "`") throw new Unreadable();
  const isString = fromStart && !goesOn;
  scan.tokens.push({ kind: isString ? "string" : "other", text: isString ? `\`${body}\`` : "`", at: start });
  scan.at += goesOn ? 2 : 1;
  if (goesOn) scan.open.push({ mark: "`", thenRegex: false });
  scan.regexMayFollow = goesOn;
}

function bracket(scan: Scan, mark: string, start: number): void {
  const { tokens, open } = scan;
  const before = tokens.at(-1);
  if ("([{".includes(mark)) {
    const thenRegex = mark === "{" ? opensBlock(before) : mark === "(" && CONDITIONS.has(before?.text ?? "");
    open.push({ mark, thenRegex });
    scan.regexMayFollow = true;
  } else {
    const last = open.pop();
    if (mark === "}" && last?.mark === "`") return template(scan, start, false);
    if (last?.mark !== CLOSES[mark]) throw new Unreadable();
    scan.regexMayFollow = last.thenRegex;
  }
  tokens.push({ kind: "mark", text: mark, at: start });
}

/** Returns the tokens of a module; throws `Unreadable` if a bracket or a quote is not closed. */
function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const scan: Scan = { text, tokens, open: [], at: 0, regexMayFollow: true };
  if (text.startsWith("#!")) scan.at = text.search(/[\n\r]|$/);
  const add = (kind: Token["kind"], tokenText: string, at: number, regexMayFollow: boolean) => {
    tokens.push({ kind, text: tokenText, at });
    scan.regexMayFollow = regexMayFollow;
  };
  while (scan.at < text.length) {
    if (take(scan, BLANK) !== undefined) continue;
    const start = scan.at;
    let match: string | undefined;
    if ((match = take(scan, WORD)) !== undefined) add("word", match, start, BEFORE_VALUE.has(match));
    else if ((match = take(scan, STRING)) !== undefined) add("string", match, start, false);
    else if (scan.regexMayFollow && (match = take(scan, REGEX)) !== undefined) {
      add("other", match, start, false);
    } else {
      const mark = take(scan, MARK)!;
      if ("\"'".includes(mark)) throw new Unreadable();
      if (mark === "`") template(scan, start, true);
      else if ("()[]{}".includes(mark)) bracket(scan, mark, start);
      else add("mark", mark, start, mark !== "++" && mark !== "--");
    }
  }
  if (scan.open.length > 0) throw new Unreadable();
  return tokens;
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  b: "\b",
  f: "\f",
  v: "\v",
  0: "\0",
};

function valueOf(quoted: string): string {
  return quoted.slice(1, -1).replace(
    /\\(?:u\{([0-9a-f]+)\}|u([0-9a-f]{4})|x([0-9a-f]{2})|(\r\n|[^]))/gi,
    (_, ...[long, four, two, one]: (string | undefined)[]) => {
      const code = long ?? four ?? two;
      if (code !== undefined) return String.fromCodePoint(Math.min(parseInt(code, 16), 0x10ffff));
      return /^[\r\n\u2028\u2029]/.test(one!) ? "" : ESCAPES[one!] ?? one!;
    },
  );
}

/**
 * Finds the imports of a file. `specifiers` are the unique module names in its imports (including imports of types),
 * re-exports and calls of `import("...")`. `open` describes each expression that loads a module known only at run time,
 * with its line: `import(...) in line 3`. If the file cannot be parsed (for example JSX with quotes in its text),
 * `specifiers` are all quoted texts after `from` or `import`, and `open` says that the syntax is unclear.
 */
export function importsOf(text: string): Record<"specifiers" | "open", readonly string[]> {
  const specifiers = new Set<string>();
  const open = new Set<string>();
  let tokens: Token[];
  try {
    tokens = tokensOf(text);
  } catch (error) {
    // A literal of tens of megabytes overflows the stack of a regular expression.
    if (!(error instanceof Unreadable || error instanceof RangeError)) throw error;
    const quoted = text.matchAll(/\b(?:from|import)\s*\(?\s*("[^"\n]*"|'[^'\n]*'|`[^`\n]*`)/g);
    return {
      specifiers: [...new Set(Array.from(quoted, ([, literal]) => valueOf(literal)))],
      open: ["a text of unclear syntax"],
    };
  }
  const unnamed = (what: string, { at }: Token) =>
    open.add(`${what} in line ${text.slice(0, at).split("\n").length}`);
  tokens.forEach((token, i) => {
    if (token.kind !== "word" || [".", "?."].includes(tokens[i - 1]?.text)) return;
    const [next, after] = [tokens[i + 1], tokens[i + 2]];
    const isString = next?.kind === "string" && !next.text.startsWith("`");
    if ((token.text === "from" || token.text === "import") && isString) specifiers.add(valueOf(next.text));
    if (token.text === "import") {
      // import.defer("..."), import.source("...")
      const call = next?.text === "." && /^(defer|source)$/.test(after?.text ?? "") ? i + 3 : i + 1;
      if (tokens[call]?.text !== "(") return;
      const literal = tokens[call + 1]?.kind === "string" && [")", ","].includes(tokens[call + 2]?.text);
      if (literal) specifiers.add(valueOf(tokens[call + 1].text));
      else unnamed("import(...)", token);
    }
    if (/^(require|createRequire)$/.test(token.text) && next?.text === "(") {
      unnamed(`${token.text}(...)`, token);
    }
    if (/^(Shared)?Worker$/.test(token.text) && tokens[i - 1]?.text === "new") {
      unnamed("new Worker(...)", token);
    }
  });
  return { specifiers: [...specifiers], open: [...open] };
}

/**
 * Returns the file URL of a specifier that is a path or a file URL, resolved against the URL `from`; undefined for any
 * other specifier.
 */
export function localFile(specifier: string, from: string): string | undefined {
  if (!/^(\.{0,2}\/|file:)/.test(specifier)) return undefined;
  const url = new URL(specifier, from);
  return url.protocol === "file:" ? new URL(url.pathname, "file:///").href : undefined;
}
