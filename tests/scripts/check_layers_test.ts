// The exercises of examples/, and the output of check_attention for layers.
import assert from "node:assert/strict";
import { inFolder, ROOT, script } from "./harness.ts";

const DOT = "const dot = (a, b) => a.reduce((sum, x, e) => sum + x * b[e], 0);\n";

const ATTENTION = `
  const { q, k, v, mask, scale } = input;
  return q.map((row, i) => {
    const w = k.map((key, j) => mask[i][j] ? Math.exp(scale * dot(row, key)) : 0);
    const sum = w.reduce((a, b) => a + b, 0) || 1;
    return v[0].map((_, e) => w.reduce((z, x, j) => z + x / sum * v[j][e], 0));
  });
`;

/** Bodies with what heads are divided by, and what stands for the mask, left open. */
const MULTI_HEAD = `
  const { heads, mask } = options;
  const d = x[0].length / heads;
  const linear = (x, name) => x.map((row) => weights[name + ".weight"].map((w, o) => dot(w, row) + weights[name + ".bias"][o]));
  const [q, k, v] = ["wq", "wk", "wv"].map((name) => linear(x, name));
  const z = x.map(() => x[0].map(() => 0));
  for (let h = 0; h < heads; h++) {
    const own = (row) => row.slice(h * d, (h + 1) * d);
    q.forEach((row, i) => {
      const w = k.map((key, j) => mask[i][j] ? Math.exp(dot(own(row), own(key)) / Math.sqrt(d)) : 0);
      const sum = w.reduce((a, b) => a + b, 0) || 1;
      w.forEach((p, j) => own(v[j]).forEach((value, e) => z[i][h * d + e] += p / sum * value));
    });
  }
  return linear(z, "wo");
`;

const DECODER = `
  const part = (prefix) => Object.fromEntries(Object.entries(weights).filter(([n]) => n.startsWith(prefix)).map(([n, w]) => [n.slice(prefix.length), w]));
  const norm = (x, { weight, bias }) => x.map((row) => {
    const mean = row.reduce((a, b) => a + b, 0) / row.length;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
    return row.map((value, e) => (value - mean) / Math.sqrt(variance + 1e-5) * weight[e] + bias[e]);
  });
  const linear = (x, { weight, bias }) => x.map((row) => weight.map((w, o) => dot(w, row) + bias[o]));
  const add = (a, b) => a.map((row, i) => row.map((value, e) => value + b[i][e]));
  const h = add(x, multiHead(norm(x, part("ln1.")), part("attn."), options));
  const hidden = linear(norm(h, part("ln2.")), part("mlp.fc.")).map((row) => row.map((value) => Math.max(0, value)));
  return add(h, linear(hidden, part("mlp.proj.")));
`;

const multiHead = (body: string) => `function multiHead(x, weights, options) {${body}}\n`;

/** The text of an exercise with its throw replaced by a body. */
function filled(name: string, body: string, before = ""): string {
  const text = Deno.readTextFileSync(new URL(`examples/${name}.ts`, ROOT));
  const types = text.replaceAll("../mod.ts", new URL("mod.ts", ROOT).href);
  const match = types.match(/^ {2}(const [^\n]*\n {2})?throw new Error\([^]*?\);\n/m)!;
  assert.ok(match, `${name} throws until it is filled in`);
  return types.replace(match[0], body) + DOT + before;
}

const EXERCISES = [
  [
    "my_attention",
    "attention",
    /expected z of shape \[\d+\]\[\d+\]/,
    () => filled("my_attention", ATTENTION),
  ],
  [
    "my_multi_head",
    "multiHead",
    /expected y of shape \[\d+\]\[\d+\], from \d heads and the weights wq\.weight/,
    () => filled("my_multi_head", MULTI_HEAD),
  ],
  [
    "my_decoder_layer",
    "decoderLayer",
    /expected y of shape .* ln1\.weight, .*mlp\.proj\.bias/,
    () => filled("my_decoder_layer", DECODER, multiHead(MULTI_HEAD)),
  ],
] as const;

Deno.test("each exercise describes its task, and passes once it is solved", () =>
  inFolder(async (folder) => {
    for (const [name, what, expected, solution] of EXERCISES) {
      const path = new URL(`examples/${name}.ts`, ROOT).pathname;
      const open = await script("check_attention", ["--file", path, "--cases", "20"], folder);
      assert.equal(open.code, 1, open.stderr);
      assert.match(open.stdout, /^FAIL .*: 20 of 20 cases failed$/m);
      assert.match(
        open.stdout,
        new RegExp(`Error: ${what}\\(\\) is not implemented yet; ${expected.source}`),
      );
      await Deno.writeTextFile(`${folder}/${name}.ts`, solution());
      const done = await script("check_attention", ["--file", `${name}.ts`], folder);
      assert.equal(done.code, 0, done.stdout + done.stderr);
      assert.match(done.stdout, /^ok {3}my_.*: 100 cases, worst error /);
    }
  }));

Deno.test("check_attention names the mistake of a multi-head layer that its numbers identify, and replays a case", () =>
  inFolder(async (folder) => {
    const variants: [from: string, to: string, said: RegExp | undefined][] = [
      [" / Math.sqrt(d)", "", /^In every case .* whose scores are not scaled\.$/m],
      ['linear(z, "wo")', "z", /whose output projection wo is left out\.$/m],
      ["row.slice(h * d, (h + 1) * d)", "row.filter((_, e) => e % heads === h)", undefined],
    ];
    for (const [from, to, said] of variants) {
      assert.ok(MULTI_HEAD.includes(from));
      await Deno.writeTextFile(
        `${folder}/mine.ts`,
        DOT + "export " + multiHead(MULTI_HEAD.replace(from, to)),
      );
      const { code, stdout } = await script("check_attention", ["--file", "mine.ts"], folder);
      assert.equal(code, 1, from);
      if (said) assert.match(stdout, said);
      else assert.ok(!stdout.includes("In every case"), stdout);
      const [, again] = stdout.match(/^To run it again: deno task check_attention (.*)$/m)!;
      const replayed = await script("check_attention", [...again.split(" "), "--ndjson", "-"], folder);
      const record = JSON.parse(replayed.stdout);
      assert.deepEqual([record.type, record.layer, record.passed], ["layer_case", "multiHead", false]);
      assert.match(replayed.stderr, /^case \d+ of seed 1: failed\n {2}x \[/);
    }
  }));

Deno.test("a file without a function to check is one line with the nearest name", () =>
  inFolder(async (folder) => {
    for (
      const [source, said] of [
        ["export const multihead = () => [];", /"decoderLayer"\. Did you mean "multiHead"\?\n$/],
        ["export const decoderLayer = 3;", /decoderLayer: expected a function, found 3\.\n$/],
        ["export {};", /exports no function "attention", "multiHead" or "decoderLayer"\.\n$/],
      ] as const
    ) {
      await Deno.writeTextFile(`${folder}/mine.ts`, source);
      const { code, stderr } = await script("check_attention", ["--file", "mine.ts"], folder);
      assert.equal(code, 2, stderr);
      assert.match(stderr, said);
    }
  }));
