// Hooks files whose functions are wrong where they are called.
import { called, type Draw, HEED, type Made, metric, THROWN, VALUES } from "./words.ts";

/** One file of each kind. */
export const CALL_KINDS: Readonly<Record<string, (draw: Draw) => Made>> = {
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
