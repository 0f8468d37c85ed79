// The words of which hooks files are made: what is exported, thrown and returned where something else is expected.

/** How a training with a file must end; a number is the exit code that the file itself asks for. */
export type Ending = "trains" | "refused" | "throws" | "ends" | number;

export type Draw = <T>(words: readonly T[]) => T;
export type Made = readonly [source: string | Uint8Array, ending: Ending, name?: string];

export const EXPORTS = ["taps", "scores", "batch", "freeze", "metrics", "keys"];
export const THROWN = [
  'new Error("mine")',
  'new TypeError("two\\nlines")',
  'Object.assign(new Error("x"), { stack: undefined })',
  'Object.assign(new Error("x"), { name: 3, message: {} })',
  'Object.defineProperty(new Error("x"), "message", { get() { throw 1; } })',
  'new (class Own extends Error { name = "Own"; })("\\x1b[31m red")',
  'new Error("long ".repeat(100000))',
  "null",
  "undefined",
  '"a text"',
  "42",
  "10n",
  'Symbol("mine")',
  "{ a: 1 }",
  "Object.create(null)",
  "{ toString() { throw 1; } }",
  "new Proxy({}, { get() { throw 1; } })",
];
/** What a file may throw as it is loaded: an error without a stack Deno 2.9 gives on as a module that is not there. */
export const THROWN_AT_LOAD = THROWN.filter((thrown) => !thrown.includes("stack: undefined"));
export const VALUES = [
  "undefined",
  "null",
  "3",
  "NaN",
  "10n",
  "true",
  '"text"',
  'Symbol("s")',
  "[]",
  "[1, 2]",
  "new Map()",
  "new Set()",
  "new Date(0)",
  "new (class Own {})()",
  "Object.create(null)",
  "() => 1",
  "Promise.resolve({})",
  "new Float32Array(2)",
  "(() => { const a: any = {}; a.a = a; return a; })()",
  "new Proxy({}, {})",
];
export const EVIL = [
  "new Proxy({}, { ownKeys() { throw new Error('proxy'); } })",
  "new Proxy({}, { getPrototypeOf() { throw new Error('proxy'); } })",
  "new Proxy([], { get() { throw new Error('proxy'); } })",
  "{ get a() { throw new Error('getter'); } }",
];
export const NAMES = [
  "view",
  "input",
  "state",
  "constant",
  "literal",
  "pack",
  "attention",
  "",
  "sicht é 語",
  "__proto__",
  "a\\nb",
];
export const HEED = 'import { apply, elementwise, expr, masks } from "heed";\n' +
  "const { minus, over, plus, times, variable } = expr, { modifier } = masks;\n";

/** A name with one letter left out, doubled or exchanged. */
export function misspelt(name: string, draw: Draw): string {
  const at = draw([...name].map((_, i) => i).slice(1, -1));
  return draw([
    name.slice(0, at) + name.slice(at + 1),
    name.slice(0, at) + name[at] + name.slice(at),
    name.slice(0, at) + name[at + 1] + name[at] + name.slice(at + 2),
  ].filter((made) => !EXPORTS.includes(made) && made !== name));
}

/** A hook that comes where something is called, given what it does there. */
export const called = (draw: Draw, body: string): string =>
  draw([
    `export const batch = (b) => { ${body} };`,
    `export const freeze = () => { ${body} };`,
    `export const metrics = [{ name: "m", every: 1, fn: () => { ${body} } }];`,
    `export const metrics = [{ name: "m", every: 1, fn: async () => { await 0; ${body} } }];`,
    `export const taps = { embed: (x) => { ${body} } };`,
    `export const scores = { "**.scores": (s) => { ${body} } };`,
  ]);

export const metric = (fn: string, name = '"m"') =>
  `export const metrics = [{ name: ${name}, every: 1, fn: ${fn} }];`;
