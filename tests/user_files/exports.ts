// Hooks files whose exports are wrong by themselves: names, values, modules that do not load.
import {
  called,
  type Draw,
  EVIL,
  EXPORTS,
  HEED,
  type Made,
  misspelt,
  NAMES,
  THROWN,
  THROWN_AT_LOAD,
  VALUES,
} from "./words.ts";

/** One file of each kind. */
export const EXPORT_KINDS: Readonly<Record<string, (draw: Draw) => Made>> = {
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
};
