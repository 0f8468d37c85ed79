// Any error thrown by a user's file is reported in a line above its stack with exit code 2; tested with more files by
// `deno task prove_hooks`.
import assert from "node:assert/strict";
import { inFolder, script, tree } from "./harness.ts";

const metric = (body: string) =>
  `export const metrics = [{ name: "m", every: 1, fn: async () => { ${body} } }];`;
const HEED = 'import { apply, elementwise, expr } from "heed";\nconst { times, variable } = expr;\n';
const module = (part: string) =>
  `${HEED}const own = { name: "view", infer: ([x]) => [x], lower: () => ({ dispatches: [] }), cpu: ([x], [y]) => y.set(x),
     vjp: (_, [g]) => [g], ...{ ${part} } };
   export const taps = { embed: (x) => apply(own, [x], {})[0] };`;

/** Files with what must stand in the line, and in what is printed below it; nothing is where heed refuses. */
const FILES: [string, RegExp, RegExp?][] = [
  ["throw null;\nexport const taps = {};", /mine\.ts threw null$/, /^null$/m],
  [
    "throw { toString() { throw 1; } };\nexport const taps = {};",
    /threw a value that cannot be converted to text$/,
    /^a value that cannot be converted to text$/m,
  ],
  [
    "setTimeout(() => { throw new Error('late'); }, 0);\nexport const taps = {};",
    /threw Error: late$/,
    /at .*mine\.ts/,
  ],
  [metric("Promise.reject(new Error('alone')); return 1;"), /mine\.ts threw Error: alone$/, /at .*mine\.ts/],
  [
    "export const taps = new Proxy({}, { ownKeys() { throw new Error('trap'); } });",
    /threw Error: trap$/,
    /at .*mine\.ts/,
  ],
  [module("cpu() { throw new Error('kernel'); }"), /mine\.ts threw Error: kernel$/, /at .*mine\.ts/],
  [module("vjp: undefined"), /^train: view at .* has no gradient\.$/],
  [module("infer: () => 3"), /view: expected infer to return a list of \{ shape, dtype \}/],
  ["Object.prototype.mine = 1;\nexport const taps = {};", /it adds "mine" to every Object; expected /],
];

Deno.test("an error thrown anywhere in a user's file is one line above its stack, and exit code 2", () =>
  inFolder(async (folder) => {
    const trainings = FILES.map(async ([source, line, below], n) => {
      await Deno.mkdir(`${folder}/${n}`);
      await Deno.writeTextFile(`${folder}/${n}/mine.ts`, source);
      const args = [
        `../tiny.yaml`,
        `--hooks=./mine.ts`,
        "data.files=[../text.txt]",
        "output.dir=runs",
        "device=cpu",
      ];
      const { code, stderr } = await script("train", args, `${folder}/${n}`);
      assert.equal(code, 2, `${source}\n${stderr}`);
      const ours = stderr.split("\n").findIndex((text) => text.startsWith("train: "));
      assert.match(stderr.split("\n")[ours], line, source);
      const rest = stderr.split("\n").slice(ours + 1).join("\n").trim();
      if (below) assert.match(rest, below, source);
      else assert.equal(rest, "", source);
      assert.doesNotMatch(stderr.split("\n").slice(0, ours).join("\n"), /^\s+at /m, source);
    });
    await Promise.all(trainings);
    assert.deepEqual(tree(folder).filter((path) => path.endsWith(".tmp")), []);
  }));

Deno.test("an operand of a user's operation may have any name, also that of the gradient", () =>
  inFolder(async (folder) => {
    const names = ["g", "let", "i", "a b", "", "1", "é"];
    const chain = names.map((name) =>
      `x = elementwise(times(1, times(2, variable(${JSON.stringify(name)}))), { [${
        JSON.stringify(name)
      }]: x });`
    );
    await Deno.writeTextFile(
      `${folder}/mine.ts`,
      `${HEED}export const taps = { embed(x) { ${chain.join(" ")} return x; } };`,
    );
    for (const device of ["cpu", "webgpu"]) {
      const { code, stderr } = await script(
        "train",
        ["tiny.yaml", "--hooks=mine.ts", `device=${device}`],
        folder,
      );
      assert.equal(code, 0, stderr);
    }
  }));
