// check_attention: what passes, what fails, and that a failing case is reported so that it can be reproduced.
import assert from "node:assert/strict";
import { attentionNames } from "../../kernels/attention/activations.ts";
import {
  type AttentionCase,
  attentionCase,
  type AttentionInput,
  type AttentionModule,
  checkAttention,
  checkAttentionCase,
  checkSummary,
  describeCase,
  functionAttention,
  kernelAttention,
  smallestFailure,
} from "../../src/check/mod.ts";
import project from "../../deno.json" with { type: "json" };
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { webgpuDevices } from "../kernels/harness.ts";

const dot = (a: number[], b: number[]) => a.reduce((sum, x, e) => sum + x * b[e], 0);

/** Weights of softmax attention in a few lines; fully masked rows are zeros. */
function pattern({ q, k, mask, scale }: AttentionInput): number[][] {
  return q.map((row, i) => {
    const powers = k.map((key, j) => mask[i][j] ? Math.exp(scale * dot(row, key)) : 0);
    const sum = powers.reduce((a, b) => a + b, 0) || 1;
    return powers.map((power) => power / sum);
  });
}

const columns = (x: number[][]) => x[0].map((_, e) => x.map((row) => row[e]));
const product = (a: number[][], b: number[][]) =>
  a.map((row) => columns(b).map((column) => dot(row, column)));

const RIGHT: Required<AttentionModule> = {
  attention: (given) => product(pattern(given), given.v),
  attentionGradient(given) {
    const a = pattern(given);
    const g = product(given.dz, columns(given.v));
    const ds = a.map((row, i) => row.map((x, j) => given.scale * x * (g[i][j] - dot(row, g[i]))));
    return { dq: product(ds, given.k), dk: product(columns(ds), given.q), dv: product(columns(a), given.dz) };
  },
};

const visibleRows = ({ mask }: AttentionCase): number[] => {
  if (!mask) return [];
  const S = mask.shape[3];
  return Array.from({ length: mask.data.length / S }, (_, row) => {
    return Array.from({ length: S }, (_, j) => mask.data[row * S + j]).reduce((a, b) => a + b, 0);
  });
};

Deno.test("100 cases have T != S, d != dv, sizes from 1 to 9 and up to 70, masks of every kind, fully masked rows", () => {
  const cases = Array.from({ length: 100 }, (_, i) => attentionCase(i));
  const sizes = cases.map(({ q, k, v }) => ({ T: q.shape[1], S: k.shape[1], d: q.shape[3], dv: v.shape[3] }));
  for (const { T, S, d, dv } of sizes) {
    assert.ok(T !== S && d !== dv);
    for (const size of [T, S, d, dv]) assert.ok(size >= 1 && size <= 70);
  }
  for (const name of ["T", "S", "d", "dv"] as const) {
    const values = new Set(sizes.map((size) => size[name]));
    for (let size = 1; size <= 9; size++) assert.ok(values.has(size), `${name} of ${size}`);
    assert.ok(Math.max(...values) > 25, name);
  }
  assert.ok(cases.filter((given) => visibleRows(given).includes(0)).length >= 30, "rows that see nothing");
  assert.ok(cases.some(({ mask }) => !mask));
  assert.ok(cases.some(({ mask }) => mask && mask.shape[0] > 1 && mask.shape[1] > 1));
  assert.ok(cases.some(({ q, k }) => q.shape[2] > k.shape[2] && k.shape[2] > 1), "grouped heads");
});

Deno.test("a case is reproducible, depends on the seed, and is exact in float32", () => {
  assert.deepEqual(attentionCase(7), attentionCase(7));
  assert.notDeepEqual(attentionCase(7).q, attentionCase(7, { seed: 2 }).q);
  assert.ok(Array.from(attentionCase(7).q.data).every((x) => Number.isInteger(16 * x)));
});

for (const activation of attentionNames("activation")) {
  Deno.test(`the reference device's ${activation} passes 100 cases, values and gradients`, async () => {
    using device = referenceDevice();
    const { failed, worst } = await checkAttention(kernelAttention(device), { activation });
    assert.equal(failed.length, 0);
    // It computes in float64 and rounds its results to float32: half a unit in the last place is 6e-8.
    assert.ok(worst!.error < 6e-8, `${worst!.error}`);
  });
}

Deno.test("WebGPU passes ten cases under both schedules", async () => {
  for (const device of await webgpuDevices()) {
    const check = await checkAttention(kernelAttention(device), { count: 10 });
    assert.equal(check.failed.length, 0, checkSummary(check));
    assert.equal(check.count, 10);
  }
});

Deno.test("every fourth case of the kernels has a modifier: rows of -Infinity, or lookups out of range", async () => {
  using device = referenceDevice();
  const seen: unknown[] = [];
  const { failed } = await checkAttention(kernelAttention(device), {
    count: 12,
    onCase: ({ given }) => seen.push(given.modifier?.name),
  });
  assert.deepEqual(failed.map(describeCase), []);
  const [no, hides, looksUp] = [undefined, "hides", "looks up"];
  assert.deepEqual(seen, [no, no, hides, no, no, no, looksUp, no, no, no, hides, no]);
});

Deno.test("a user's function gets no case with a modifier", async () => {
  const seen: unknown[] = [];
  await checkAttention(functionAttention("right", RIGHT), {
    count: 8,
    onCase: ({ given }) => seen.push(given.modifier),
  });
  assert.deepEqual(seen, Array(8).fill(undefined));
});

Deno.test("a right function passes, with its gradients and without", async () => {
  for (const module of [RIGHT, { attention: RIGHT.attention }]) {
    const { failed, worst } = await checkAttention(functionAttention("right", module));
    assert.equal(failed.length, 0);
    // float64 on both sides.
    assert.ok(worst!.error < 1e-13, `${worst!.error}`);
  }
});

const MISTAKES: Record<string, AttentionModule> = {
  "no scale": { attention: (given) => RIGHT.attention({ ...given, scale: 1 }) },
  "scale of its own": {
    attention: (given) => RIGHT.attention({ ...given, scale: given.q[0].length ** -0.5 }),
  },
  "mask turned round": {
    attention: (given) => RIGHT.attention({ ...given, mask: given.mask.map((row) => row.map((x) => !x)) }),
  },
  "mask left out": {
    attention: (given) => RIGHT.attention({ ...given, mask: given.mask.map((row) => row.map(() => true)) }),
  },
  "NaN where nothing is seen": {
    attention: (given) =>
      product(pattern(given).map((row) => row.every((x) => x === 0) ? row.map(() => NaN) : row), given.v),
  },
  "the mean where nothing is seen": {
    attention: (given) =>
      product(
        pattern(given).map((row) => row.every((x) => x === 0) ? row.map(() => 1 / row.length) : row),
        given.v,
      ),
  },
  "a gradient without the lateral sum": {
    ...RIGHT,
    attentionGradient(given) {
      const a = pattern(given);
      const g = product(given.dz, columns(given.v));
      const ds = a.map((row, i) => row.map((x, j) => given.scale * x * g[i][j]));
      return {
        dq: product(ds, given.k),
        dk: product(columns(ds), given.q),
        dv: product(columns(a), given.dz),
      };
    },
  },
};

for (const [name, module] of Object.entries(MISTAKES)) {
  Deno.test(`a function with a mistake fails: ${name}`, async () => {
    const { failed } = await checkAttention(functionAttention("wrong", module), { count: 25 });
    assert.ok(failed.length > 0);
  });
}

Deno.test("the smallest failing case is printed in full: sizes, seed, every input, the mask, expected and found", async () => {
  const wrong = functionAttention("mine.ts", MISTAKES["mask left out"]);
  const check = await checkAttention(wrong, { seed: 3 });
  const smallest = smallestFailure(check)!;
  const { q, k, index, mask } = smallest.given;
  assert.ok(
    check.failed.every(({ given }) => given.q.data.length >= 1 && q.data.length + k.data.length <= 60),
  );
  const page = describeCase(smallest);
  assert.match(page, new RegExp(`^case ${index} of seed 3: failed\n  q \\[${q.shape.join(", ")}\\]`));
  for (const x of [...Array.from(q.data), ...Array.from(k.data)]) assert.ok(page.includes(String(x)), `${x}`);
  assert.ok(mask && /mask, .*\(1: attend\):\n {4}[1.]/.test(page), page);
  assert.match(page, /z, sample 0, head 0, expected \| found:\n/);
  assert.match(page, / \| .* {2}<$/m);
  assert.match(checkSummary(check), /^FAIL mine\.ts: \d+ of 100 cases failed, worst error \d/);
  const again = await checkAttention(wrong, { seed: 3, only: index });
  assert.deepEqual(again.failed[0].errors, smallest.errors);
});

Deno.test("the failing case shown first is an ordinary one: several queries and keys, and every query sees one", async () => {
  for (
    const name of ["no scale", "mask left out", "mask turned round", "a gradient without the lateral sum"]
  ) {
    for (const seed of [1, 2]) {
      const { given } = smallestFailure(
        await checkAttention(functionAttention("mine.ts", MISTAKES[name]), { seed }),
      )!;
      const said = `${name}, seed ${seed}: case ${given.index}`;
      assert.ok(given.q.shape[1] > 1 && given.k.shape[1] > 1, `${said} has a single query or key`);
      assert.ok(!visibleRows(given).includes(0), `${said} has a row that sees nothing`);
    }
  }
  // A mistake that only such rows show is shown by one.
  const wrong = functionAttention("mine.ts", MISTAKES["NaN where nothing is seen"]);
  assert.ok(visibleRows(smallestFailure(await checkAttention(wrong))!.given).includes(0));
});

Deno.test("check_attention --mask checks with one kind of mask, so that a function without a mask can pass", async () => {
  const folder = await Deno.makeTempDir({ prefix: "heed-check-" });
  try {
    const source = (seen: string) =>
      `export const attention = ({ q, k, v, scale }) => q.map((row, i) => {\n` +
      `  const w = k.map((key, j) => ${seen} Math.exp(scale * key.reduce((s, x, e) => s + x * row[e], 0)));\n` +
      `  const sum = w.reduce((a, b) => a + b, 0);\n` +
      `  return v[0].map((_, e) => w.reduce((z, x, j) => z + x / sum * v[j][e], 0));\n});\n`;
    await Deno.writeTextFile(`${folder}/none.ts`, source(""));
    await Deno.writeTextFile(`${folder}/causal.ts`, source("j > i ? 0 :"));
    for (const name of ["none", "causal"]) {
      const passed = await script(folder, "--file", `${name}.ts`, "--mask", name);
      assert.equal(passed.code, 0, passed.stderr + passed.stdout);
      assert.match(passed.stdout, /^ok {3}\w+\.ts: 100 cases/);
    }
    const failed = await script(folder, "--file", "none.ts", "--mask", "random", "--cases", "9");
    assert.match(failed.stdout, /^FAIL none\.ts: 9 of 9 cases failed/);
    const [, again] = failed.stdout.match(/To run it again: deno task check_attention (.*)\n$/)!;
    assert.match(again, /--mask random/);
    assert.match((await script(folder, ...again.split(" "))).stdout, /^case \d+ of seed 1: failed/);
    const misspelt = await script(folder, "--mask", "casual");
    assert.equal(misspelt.code, 2);
    assert.match(misspelt.stderr, /^check_attention: --mask: .*"casual"\. Did you mean "causal"\?\n$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("values of another shape, and functions that throw, are failures of their case with the reason", async () => {
  const failure = async (module: AttentionModule) =>
    (await checkAttentionCase(functionAttention("mine.ts", module), attentionCase(0))).failure!;
  const { q, v } = attentionCase(0);
  const [T, dv] = [q.shape[1], v.shape[3]];
  assert.equal(
    await failure({ attention: ({ q }) => q.slice(1).map(() => [1]) }),
    `attention() is [${T - 1}][1], expected [${T}][${dv}].`,
  );
  assert.equal(
    await failure({ attention: ({ q, v }) => q.map(() => v[0].map(() => "1")) as never }),
    `attention()[0][0]: expected a number, found "1".`,
  );
  assert.throws(
    () => functionAttention("mine.ts", { ...RIGHT, attentionGradient: 3 as never }),
    /^UserError: mine\.ts: attentionGradient: expected a function, found 3\.$/,
  );
  assert.match(
    await failure({ attention: () => undefined as never }),
    /^attention\(\) is undefined, expected/,
  );
  assert.match(
    await failure({ ...RIGHT, attentionGradient: () => ({}) as never }),
    /^attentionGradient\(\)\.dq is/,
  );
  assert.match(
    await failure({
      attention: () => {
        throw new Error("not yet");
      },
    }),
    /^Error: not yet\n +at /,
  );
  assert.throws(() => functionAttention("mine.ts", { attend: 1 } as never), UserError);
  await assert.rejects(checkAttention(functionAttention("mine.ts", RIGHT), { count: 0 }), UserError);
});

/** The task in a process of its own, with exactly the permissions that deno.json gives it. */
async function script(folder: string, ...args: string[]) {
  const [, run, ...rest] = project.tasks.check_attention.command.split(" ");
  const path = new URL(`../../${rest.pop()}`, import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [run, "--no-prompt", "--config", config, ...rest, path, ...args],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

Deno.test("check_attention exits with 0 or 1, replays a case, writes records and the diagram, and 2 for a user error", async () => {
  const folder = await Deno.makeTempDir({ prefix: "heed-check-" });
  try {
    const row =
      "k.map((key, j) => mask[i][j] ? Math.exp(scale * key.reduce((s, x, e) => s + x * row[e], 0)) : 0)";
    const source = (sum: string) =>
      `export const attention = ({ q, k, v, mask, scale }) => q.map((row, i) => {\n  const w = ${row};\n` +
      `  const sum = w.reduce((a, b) => a + b, 0)${sum};\n` +
      `  return v[0].map((_, e) => w.reduce((z, x, j) => z + x / sum * v[j][e], 0));\n});\n`;
    await Deno.writeTextFile(`${folder}/right.ts`, source(" || 1"));
    await Deno.writeTextFile(`${folder}/wrong.ts`, source(""));
    const right = await script(folder, "--file", "right.ts", "--ndjson", "-", "--diagram", "layer.svg");
    assert.equal(right.code, 0, right.stderr);
    const records = right.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.equal(records.length, 100);
    assert.ok(records.every(({ v, type, passed, z_error }) => {
      return v === 2 && type === "attention_case" && passed && z_error < 1e-5;
    }));
    assert.match(right.stderr, /^layer\.svg: .*\nok {3}right\.ts: 100 cases, worst error /);
    assert.match(
      await Deno.readTextFile(`${folder}/layer.svg`),
      /^<svg[\s\S]*attention softmax[\s\S]*<\/svg>\n$/,
    );
    const wrong = await script(folder, "--file", "wrong.ts", "--cases", "20");
    assert.equal(wrong.code, 1, wrong.stderr);
    const [, again, number] = wrong.stdout.match(
      /To run it again: deno task check_attention (.* --case (\d+))\n$/,
    )!;
    const replayed = await script(folder, ...again.split(" "));
    assert.equal(replayed.code, 1);
    assert.ok(replayed.stdout.startsWith(`case ${number} of seed 1: failed`), replayed.stdout);
    for (
      const [args, said] of [
        [["--file", "none.ts"], /^check_attention: --file: none\.ts cannot be loaded: .*\n$/],
        [["--activation", "sofmax"], /--activation: .*found "sofmax"\. Did you mean "softmax"\?\n$/],
        [["--file", "right.ts", "--device", "cpu"], /--device: selects a device/],
        [["mine.ts"], /^check_attention: mine\.ts: unexpected argument; .*--file\.\n$/],
        [["--cases", "0"], /--cases: expected a whole number of at least 1/],
      ] as const
    ) {
      const ended = await script(folder, ...args);
      assert.equal(ended.code, 2, args.join(" "));
      assert.match(ended.stderr, said);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
