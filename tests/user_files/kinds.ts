// Hooks files as people get them wrong, by kinds: a grammar of which a seed draws any number, with how each must end.
import type { RandomStream } from "../../src/base/random.ts";

/** How a training with a file must end; a number is the exit code that the file itself asks for. */
export type Ending = "trains" | "refused" | "throws" | "ends" | number;

/** A hooks file. */
export interface HooksFile {
  /** What is wrong with it. */
  readonly kind: string;
  readonly source: string | Uint8Array;
  readonly ending: Ending;
  /** Its name, where that is part of the case. */
  readonly name?: string;
}

type Draw = <T>(words: readonly T[]) => T;
type Made = readonly [source: string | Uint8Array, ending: Ending, name?: string];

const EXPORTS = ["taps", "scores", "batch", "freeze", "metrics", "keys"];
const THROWN = [
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
const THROWN_AT_LOAD = THROWN.filter((thrown) => !thrown.includes("stack: undefined"));
const VALUES = [
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
const EVIL = [
  "new Proxy({}, { ownKeys() { throw new Error('proxy'); } })",
  "new Proxy({}, { getPrototypeOf() { throw new Error('proxy'); } })",
  "new Proxy([], { get() { throw new Error('proxy'); } })",
  "{ get a() { throw new Error('getter'); } }",
];
const NAMES = [
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
const HEED = 'import { apply, elementwise, minus, modifier, over, plus, times, variable } from "heed";\n';

/** A name with one letter left out, doubled or exchanged. */
function misspelt(name: string, draw: Draw): string {
  const at = draw([...name].map((_, i) => i).slice(1, -1));
  return draw([
    name.slice(0, at) + name.slice(at + 1),
    name.slice(0, at) + name[at] + name.slice(at),
    name.slice(0, at) + name[at + 1] + name[at] + name.slice(at + 2),
  ].filter((made) => !EXPORTS.includes(made) && made !== name));
}

/** A hook that comes where something is called, given what it does there. */
const called = (draw: Draw, body: string): string =>
  draw([
    `export const batch = (b) => { ${body} };`,
    `export const freeze = () => { ${body} };`,
    `export const metrics = [{ name: "m", every: 1, fn: () => { ${body} } }];`,
    `export const metrics = [{ name: "m", every: 1, fn: async () => { await 0; ${body} } }];`,
    `export const taps = { embed: (x) => { ${body} } };`,
    `export const scores = { "**.scores": (s) => { ${body} } };`,
  ]);

const metric = (fn: string, name = '"m"') =>
  `export const metrics = [{ name: ${name}, every: 1, fn: ${fn} }];`;

/** One file of each kind. */
const KINDS: Readonly<Record<string, (draw: Draw) => Made>> = {
  "a good file": (draw) => [
    draw([
      "export const taps = { embed: (x) => x };",
      `${HEED}export const taps = { "**.resid_post": (x) => elementwise(times(2, variable("x")), { x }) };`,
      `${HEED}export const scores = { "**.scores": (s) => modifier(times(s, 2)) };`,
      'export const freeze = () => ["**"];',
      "export const batch = (b) => b;",
      "export const metrics = [];",
      "export const keys = {};",
      `${HEED}export const steep = { modifier: () => modifier(times(variable("score"), 2)) };`,
    ]),
    "trains",
  ],
  "a misspelt export": (draw) => [
    `${draw(["", "export const batch = (b) => b;\n"])}export const ${
      misspelt(draw(EXPORTS.filter((name) => name !== "batch")), draw)
    } = {};`,
    "refused",
  ],
  "exports of other names": (draw) => [
    draw([
      "export const other = 1;",
      "export function helper() {}",
      "export class Hooks {}",
      "export const a = 1, b = 2;",
    ]),
    "refused",
  ],
  "a default export": (draw) => [
    draw([
      "export default { taps: {} };",
      "export default () => 1;",
      "export default class {}",
      "export default null;",
    ]),
    "refused",
  ],
  "nothing exported": (
    draw,
  ) => [draw(["", "// nothing", "const taps = {};", "\n\n\n", "export {};"]), "refused"],
  "a syntax error": (draw) => [
    draw([
      "export const taps = {",
      "export cosnt taps = {};",
      'export const taps = "',
      "export const taps = `",
      "import from;",
      "export const taps = {}; }",
      "export const 1 = 2;",
      "await = 3; return 4",
      "export { taps };",
      "export const taps = {}; export const taps = {};",
      "\u0000\u0001",
      "<html></html>",
      '{"taps": {}}',
    ]),
    "refused",
  ],
  "bytes that are no text": (draw) => [
    draw([
      Uint8Array.of(0xff, 0xfe, 0, 1),
      Uint8Array.from({ length: 1000 }, (_, i) => i * 37 % 256),
      Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1),
    ]),
    "ends",
  ],
  "a text of another kind": (draw) => [
    draw(["\ufeffexport const taps = {};\r\n", `/* ${"x".repeat(3_000_000)} */ export const taps = {};`]),
    "trains",
  ],
  "an import that fails": (draw) => [
    `${
      draw([
        'import x from "./missing.ts";',
        'import x from "../../../../../../nowhere/x.ts";',
        'import { nothing as x } from "heed";',
        'import x from "heed";',
        'import x from "lodash";',
        'import x from "node:nothing";',
        'import x from "https://127.0.0.1:1/x.ts";',
        'import x from "npm:@heed-of-nobody/none@0.0.0";',
        'import x from "jsr:@heed-of-nobody/none@0.0.0";',
        'import x from "data:text/javascript,export const y = 1;";',
        'import x from "./mine.json";',
        'import x from ".";',
        'import x from "";',
        'import x from "file:///dev/zero";',
        'import x from "\\u0000";',
      ])
    }\nexport const taps = {}, used = x;`,
    "refused",
  ],
  "a throw as it is loaded": (draw) => [`throw ${draw(THROWN_AT_LOAD)};\nexport const taps = {};`, "throws"],
  "a throw after a wait as it is loaded": (
    draw,
  ) => [`await 0;\nthrow ${draw(THROWN_AT_LOAD)};\nexport const taps = {};`, "throws"],
  "a name before its time":
    () => ["export const taps = { embed: later };\nconst later = (x) => x;", "throws"],
  "an export of another kind": (draw) => {
    const name = draw(EXPORTS);
    const value = draw(VALUES.filter((value) => {
      if (value === "undefined") return false;
      if (name === "batch" || name === "freeze") return value !== "() => 1";
      return name === "metrics" ? value !== "[]" : !/create\(null\)|const a: any|Proxy/.test(value);
    }));
    return [`export const ${name} = ${value};`, "refused"];
  },
  "an export that throws when it is looked at": (draw) => [
    `export const ${draw(["taps", "scores", "keys", "metrics"])} = ${draw(EVIL)};`,
    "ends",
  ],
  "an export of undefined": (draw) => [`export const ${draw(EXPORTS)} = undefined;`, "ends"],
  "a pattern that no tap has": (draw) => [
    `export const ${draw(["taps", "scores"])} = { ${
      draw([
        '"nothing.*"',
        "constructor",
        '""',
        '"blocks.99.**"',
        '"**é"',
        '["*".repeat(300)]',
        '["__proto__"]',
      ])
    }: (x) => x };`,
    "ends",
  ],
  "a tap that returns something else": (
    draw,
  ) => [`export const taps = { embed: () => (${draw(VALUES)}) };`, "refused"],
  "a tap of another shape": (draw) => [
    `import { input, reshape, sumAll } from "heed";\nexport const taps = { embed: (x) => ${
      draw([
        "sumAll(x)",
        "reshape(x, [3])",
        'input("mine", [2])',
        "reshape(x, [x.shape[0] * x.shape[1], x.shape[2]])",
      ])
    } };`,
    "refused",
  ],
  "a tap whose object never ends": (draw) => [
    `const endless = { get node() { return endless; }, get shape() { return endless; }, get length() { return 1; } };
const list = new Proxy([], { get: (_, key) => key === "length" ? 2 ** 31 : endless });
export const taps = { embed: () => ${
      draw(["endless", "list", "{ ...endless, shape: [endless] }", "{ node: {}, shape: list }"])
    } };`,
    "refused",
  ],
  "a tap of numbers that are none": (draw) => [
    `${HEED}export const taps = { embed: (x) => elementwise(${
      draw([
        'over(0, minus(variable("x"), variable("x")))',
        'over(variable("x"), 0)',
        'times(1e38, times(1e38, variable("x")))',
      ])
    }, { x }) };`,
    "ends",
  ],
  "scores that are none": (
    draw,
  ) => [`export const scores = { "**.scores": () => (${draw(VALUES)}) };`, "refused"],
  "a score of a variable that is not there": (draw) => [
    `${HEED}export const scores = { "**.scores": (s) => modifier(times(s, variable(${
      draw(['"scroe"', '"é"', '""', '"constructor"', "3", "undefined"])
    }))) };`,
    "ends",
  ],
  "an expression of many parts": (draw) => [
    `${HEED}export const ${
      draw([
        'scores = { "**.scores": (s) => modifier(deep(s)) }',
        'taps = { embed: (x) => elementwise(deep(variable("x")), { x }) }',
      ])
    };
function deep(e) { for (let i = 0; i < ${draw([300, 3000, 30000])}; i++) e = plus(e, 1e-9); return e; }`,
    "ends",
  ],
  "an operand of any name": (draw) => {
    const name = draw([
      '"let"',
      '"fn"',
      '"x0"',
      '"i"',
      '"é"',
      '"a b"',
      '""',
      '"__proto__"',
      '"1"',
      '"constructor"',
    ]);
    return [
      `${HEED}export const taps = { embed: (x) => elementwise(times(2, variable(${name})), { [${name}]: x }) };`,
      "ends",
    ];
  },
  "an operation of any name": (draw) => [
    `${HEED}const own = { name: "${draw(NAMES)}", infer: ([x]) => [x], lower: () => ({ dispatches: [] }),
  cpu: ([x], [y]) => y.set(x), vjp: (_, [g]) => [g] };
export const taps = { embed: (x) => apply(own, [x], {})[0] };`,
    "trains",
  ],
  "an operation with a fault": (draw) => [
    `${HEED}const own = { name: "own", infer: ([x]) => [x], lower: () => ({ dispatches: [] }), cpu: ([x], [y]) => y.set(x),
  vjp: (_, [g]) => [g], ...{ ${
      draw([
        "infer: () => 3",
        "infer: () => { throw new Error('mine'); }",
        "cpu: () => { throw new Error('mine'); }",
        "vjp: () => { throw new Error('mine'); }",
        "vjp: undefined",
        "vjp: () => undefined",
        "infer: () => [{ shape: [-1], dtype: 'f32' }]",
        "infer: () => [{}]",
      ])
    } } };
export const taps = { embed: (x) => apply(own, [x], {})[0] };`,
    "ends",
  ],
  "a throw when it is called": (draw) => [called(draw, `throw ${draw(THROWN)};`), "throws"],
  "a class where a function is called": (draw) => [
    `export ${draw(["class batch {}", "class freeze {}"])}`,
    "throws",
  ],
  "a function of another kind": (draw) => [
    draw([
      "export async function batch(b) { return b; }",
      "export function* batch(b) { yield b; }",
      "export async function* freeze() {}",
      "export async function freeze() { return []; }",
      "export function* freeze() { for (;;) yield '**'; }",
    ]),
    "refused",
  ],
  "a batch that changes what it is given": (draw) => [
    `export const batch = (b) => { ${
      draw([
        "b.ids.fill(0); return b;",
        "b.ids.reverse(); return b;",
        "return { ids: b.ids.slice(), targets: b.targets.slice() };",
      ])
    } };`,
    "trains",
  ],
  "a batch that is none": (draw) => [
    `export const batch = (b) => (${
      draw([
        ...VALUES,
        "{ ids: b.ids }",
        "{ ids: b.ids, targets: [...b.targets] }",
        "{ ids: b.ids.slice(1), targets: b.targets }",
        "{ ids: b.ids.map(() => 4e9), targets: b.targets }",
        "{ ids: Float32Array.from(b.ids), targets: b.targets }",
        "{ get ids() { return this; }, targets: b.targets }",
        "{ ids: new Uint32Array(0), targets: new Uint32Array(0) }",
      ])
    });`,
    "refused",
  ],
  "globs of freeze that are none": (draw) => [
    `export const freeze = () => ${
      draw([
        ...VALUES.filter((v) => v !== "[]"),
        '["nothing"]',
        '["blocks.9.**"]',
        "[[]]",
        "[null]",
        '[""]',
        '["*".repeat(400)]',
        "new Array(3)",
      ])
    };`,
    "ends",
  ],
  "a number that is none": (draw) => [
    metric(
      draw([
        "() => NaN",
        "() => Infinity",
        "() => -Infinity",
        "() => -0",
        "() => ({ a: NaN, b: 1e308 * 10 })",
        "() => 5e-324",
      ]),
    ),
    "trains",
  ],
  "a metric that gives no number": (draw) => [
    metric(`() => (${
      draw([
        ...VALUES.filter((v) => !["3", "NaN"].includes(v)),
        "{ a: { b: 1 } }",
        "{ a: '1' }",
        "{ a: 1n }",
        "{ step: 1 }",
        "{ __proto__: null, constructor: 'x' }",
        "{ get a() { return this; } }",
        "Object.fromEntries([['__proto__', 1]])",
        "{ [Symbol('x')]: 1 }",
      ])
    })`),
    "refused",
  ],
  "a metric whose promise never ends": (draw) => [
    metric(
      draw([
        "() => new Promise(() => {})",
        "async () => { await new Promise(() => {}); }",
        "() => ({ then() {} })",
      ]),
    ),
    "refused",
  ],
  "a file that never ends loading":
    () => ["export const taps = {};\nawait new Promise(() => {});", "refused"],
  "a metric that changes what it reads": () => [
    metric(
      "async ({ parameters }) => { for (const { data } of Object.values(await parameters())) data.fill(NaN); return 1; }",
    ),
    "trains",
  ],
  "a metric of many numbers": (draw) => [
    metric(`() => Object.fromEntries(Array.from({ length: ${draw([100, 5000])} }, (_, i) => ["n" + i, i]))`),
    "trains",
  ],
  "a metric of any name": (draw) => [
    metric(
      "() => 1",
      draw(['"é 語 👩‍🔬"', '"a\\nb\\u001b[31m"', '"=1+1"', '"constructor"', '"x".repeat(100000)', '"../../x"']),
    ),
    "trains",
  ],
  "a metric without its parts": (draw) => [
    `export const metrics = [${
      draw([
        "{}",
        "null",
        "3",
        "{ name: 'm' }",
        "{ name: '', every: 1, fn: () => 1 }",
        "{ name: 'm', every: 0, fn: () => 1 }",
        "{ name: 'm', every: 1.5, fn: () => 1 }",
        "{ name: 'm', every: '1', fn: () => 1 }",
        "{ name: 'm', every: Infinity, fn: () => 1 }",
        "{ nmae: 'm', every: 1, fn: () => 1 }",
        "{ name: 'm', every: 1, fn: 1 }",
        "{ name: 'm', every: 1, fn: () => 1 }, { name: 'm', every: 1, fn: () => 1 }",
        ", ,",
      ])
    }];`,
    "refused",
  ],
  "a declared key that is none": (draw) => [
    `export const keys = { ${
      draw([
        "a: 1",
        "a: null",
        "a: {}",
        "a: { default: null }",
        "a: { default: NaN }",
        "a: { default: 1, min: 2 }",
        "a: { default: 1, min: 'x' }",
        "a: { default: 1, mn: 2 }",
        "a: { default: 'x', oneOf: [] }",
        "a: { default: 'x', oneOf: ['y'] }",
        "file: { default: 'x' }",
        "a: { get default() { return this; } }",
      ])
    } };`,
    "refused",
  ],
  "a declared key of any name": (draw) => [
    `export const keys = { ${
      draw(['"é"', '"a b"', '"a.b"', "constructor", '"="', '""', '"toString"'])
    }: { default: 1 } };`,
    "ends",
  ],
  "side effects as it is loaded": (draw) => [
    `${
      draw([
        'console.log("hello"); console.error("hello");',
        "globalThis.mine = 1;",
        'await Deno.writeTextFile("side_effect.txt", "x");',
        "setInterval(() => {}, 1000);",
        "setTimeout(() => {}, 60000);",
        'Deno.addSignalListener("SIGUSR1", () => {});',
        'addEventListener("unload", () => {});',
        "Object.freeze(globalThis.console);",
        "(await import('node:process')).default.stdout.write('x');",
      ])
    }\nexport const taps = {};`,
    "trains",
  ],
  "an addition to built-in objects": (draw) => [
    `${draw(["Object", "Array"])}.prototype.mine = 1;\nexport const taps = {};`,
    "refused",
  ],
  "what no permission allows": (draw) => [
    draw([
      'Deno.env.get("SECRET");',
      'await fetch("http://127.0.0.1:1/");',
      'new Deno.Command("true").outputSync();',
      "Deno.hostname();",
      'Deno.readTextFileSync("/proc/self/environ");',
    ]) + "\nexport const taps = {};",
    "throws",
  ],
  "a throw that nobody waits for": (draw) => [
    draw([
      `setTimeout(() => { throw ${draw(THROWN)}; }, 0);\nexport const taps = {};`,
      `Promise.reject(${draw(THROWN)});\nexport const taps = {};`,
      `queueMicrotask(() => { throw ${draw(THROWN)}; });\nexport const taps = {};`,
      metric(`() => { Promise.reject(${draw(THROWN)}); return 1; }`),
      metric(
        `async () => { setTimeout(() => { throw ${
          draw(THROWN)
        }; }, 0); await new Promise((r) => setTimeout(r, 50)); return 1; }`,
      ),
    ]),
    "throws",
  ],
  "an exit of its own": (draw) => {
    const code = draw([0, 1, 7, 130]);
    return [
      draw([`Deno.exit(${code});\nexport const taps = {};`, called(draw, `Deno.exit(${code});`)]),
      code,
    ];
  },
  "a file of any name": (draw) => [
    "export const taps = {};",
    "trains",
    draw([
      "é 語.ts",
      "a b.ts",
      "it's.ts",
      "#1.ts",
      "100%.ts",
      "[x].ts",
      "{a}.ts",
      "a=b.ts",
      "x.js",
      "x.mjs",
      "no_ending",
      "x.txt",
      "-x.ts",
      "a,b.ts",
    ]),
  ],
  "a modifier with a fault": (draw) => [
    `${HEED}export const steep = { ${
      draw([
        "modifer: () => 1",
        `modifier: () => (${draw(VALUES)})`,
        "tables: () => 3, modifier: () => modifier(variable('score'))",
        "tables: 3, modifier: () => modifier(variable('score'))",
        "table: () => ({}), modifier: () => modifier(variable('score'))",
        "tables: () => ({ a: { shape: [0], start: 1 } }), modifier: () => modifier(variable('score'))",
        "tables: () => ({ a: { shape: [2], start: NaN } }), modifier: () => modifier(variable('score'))",
      ])
    } };`,
    "refused",
  ],
  "a modifier that throws": (draw) => [
    `export const steep = { ${
      draw([`modifier() { throw ${draw(THROWN)}; }`, `tables() { throw ${draw(THROWN)}; }, modifier() {}`])
    } };`,
    "throws",
  ],
};

/** So many hooks files: each kind in turn, its words drawn anew. */
export function hooksFiles(count: number, random: RandomStream): HooksFile[] {
  const draw: Draw = (words) => words[random.below(words.length)];
  const kinds = Object.entries(KINDS);
  return Array.from({ length: count }, (_, i): HooksFile => {
    const [kind, make] = kinds[i % kinds.length];
    const [source, ending, name] = make(draw);
    return { kind, source, ending, ...(name === undefined ? {} : { name }) };
  });
}
