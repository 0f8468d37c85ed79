// Positions of queries among keys: i has one meaning in ranges, masks, modifiers, tables and their gradients.
import assert from "node:assert/strict";
import { type AttentionActivation, attentionNames } from "../../kernels/attention/activations.ts";
import * as m from "../../kernels/attention/modifier.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import * as e from "../../kernels/expression/expression.ts";
import { grad } from "../../kernels/gradient.ts";
import { randomStream } from "../../src/base/random.ts";
import {
  attentionOracle,
  attentionOracleGradient,
  type DenseTensor,
  type OracleOptions,
} from "../../src/check/oracle.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { multiHeadAttention } from "../../src/nn/multi_head.ts";
import { evaluate, randomInput, relativeError, webgpuDevices } from "./harness.ts";

const [SCORE, H, I, J] = ["score", "h", "i", "j"].map(e.variable);

/** Options that depend on positions, for heed and for the oracle; `bias` [H, S] is looked up by h and i. */
interface Placed {
  readonly options: (heads: number, bias: Tensor) => AttentionOptions;
  readonly score?: (feeds: Record<string, Values>, S: number) => NonNullable<OracleOptions["score"]>;
  readonly mask?: NonNullable<OracleOptions["mask"]>;
}

const causal = (_b: number, _h: number, i: number, j: number) => j <= i;
const PLACED: Record<string, Placed> = {
  ALiBi: {
    options: (heads) => ({ score: m.alibi(heads) }),
    score: () => (s, _b, h, i, j) => s + Math.fround(m.alibiSlopes(2)[h]) * (j - i),
    mask: causal,
  },
  "prefix-LM": {
    options: () => ({ causal: false, mask: m.orMasks(m.prefixMask(2), m.causalMask) }),
    mask: (_b, _h, i, j) => j < 2 || j <= i,
  },
  "a mask by i inside a window": {
    options: () => ({ window: { size: 9 }, mask: m.mask(e.less(0, e.absolute(e.minus(I, e.plus(J, 3))))) }),
    mask: (_b, _h, i, j) => j <= i && i - j < 9 && i !== j + 3,
  },
  "a learned table by i": {
    options: (heads, bias) => {
      const shape = bias.shape;
      const entry = e.lookup("bias", shape, H, I);
      return { score: m.compose(m.alibi(heads), m.modifier(e.plus(SCORE, entry), { bias })) };
    },
    score: ({ bias }, S) => (s, _b, h, i, j) => {
      return s + Math.fround(m.alibiSlopes(2)[h]) * (j - i) + bias[h * S + i];
    },
    mask: causal,
  },
};

/** All positions as queries, and the last `T` alone, with the gradients of the last rows. */
function pair(place: Placed, activation: AttentionActivation, T: number, S: number) {
  const rng = randomStream(T, activation);
  const feeds: Record<string, Values> = {};
  const shape = (rows: number) => [2, rows, 2, 3];
  const [q, k, v] = ["q", "k", "v"].map((name) => randomInput(rng, feeds, name, shape(S)));
  const bias = randomInput(rng, feeds, "bias", [2, S]);
  const dz = randomInput(rng, feeds, "dz", shape(S));
  const last = (x: Values) =>
    Float64Array.from(
      { length: 12 * T },
      (_, n) => x[(Math.floor(n / (6 * T)) * S + S - T) * 6 + n % (6 * T)],
    );
  // Only the last rows of the full attention have a gradient.
  feeds.dz = Float64Array.from(feeds.dz, (x, n) => Math.floor(n / 6) % S < S - T ? 0 : x);
  Object.assign(feeds, { "last q": last(feeds.q), "last dz": last(feeds.dz) });
  const [lastQ, lastDz] = ["last q", "last dz"].map((name) => input(name, shape(T)));
  const build = (queries: Tensor, upstream: Tensor, options: AttentionOptions) => {
    const z = attention(queries, k, v, { bias: 0, activation, ...options });
    const wrt = [queries, k, v, ...(options.score?.tables.bias ? [bias] : [])];
    return [z, ...grad(sumAll(multiply(z, upstream)), wrt)];
  };
  const placed = place.options(2, bias);
  const aligned = placed.causal === false
    ? { align: "bottom-right" as const }
    : { causal: "bottom-right" as const };
  const name = (part: string, outputs: readonly Tensor[]) =>
    Object.fromEntries(outputs.map((x, n) => [`${part} ${n}`, x]));
  const outputs = {
    ...name("full", build(q, dz, placed)),
    ...name("alone", build(lastQ, lastDz, { ...placed, ...aligned })),
  };
  return { feeds, outputs, last };
}

for (const [name, place] of Object.entries(PLACED)) {
  Deno.test(`the last queries alone, aligned bottom-right, give the last rows of the full attention: ${name}`, async () => {
    for (const [n, activation] of attentionNames("activation").entries()) {
      const [T, S] = [[1, 5], [33, 70], [3, 40], [1, 9], [2, 7]][n % 5];
      const { feeds, outputs, last } = pair(place, activation, T, S);
      using oracle = referenceDevice({ precision: "f64" });
      // Shaders compile slowly on a software adapter, and activations differ only in an expression.
      const others = activation === "sigmoid" ? await webgpuDevices() : [];
      for (const device of [oracle, ...others]) {
        const results = await evaluate(device, { feeds, outputs });
        for (let part = 0; results[`alone ${part}`]; part++) {
          // z and dq are rows of the queries; dk, dv and the table's gradient are of the same keys.
          const full = part < 2 ? last(results[`full ${part}`]) : results[`full ${part}`];
          const error = relativeError(results[`alone ${part}`], full, 1e-3);
          const where = `${name}, ${activation}, T${T} S${S}, ${
            device.target?.kind ?? "reference"
          }, output ${part}`;
          assert.ok(error <= (device === oracle ? 1e-12 : 1e-4), `${where}: relative error ${error}`);
        }
      }
    }
  });

  Deno.test(`attention aligned bottom-right equals the dense oracle's: ${name}`, async () => {
    // More keys than queries, and more queries than keys: the first rows are before the first key.
    for (const [T, S] of [[4, 11], [11, 4]]) {
      if (name === "a learned table by i" && T > S) continue;
      const [rng, feeds] = [randomStream(S, name), {} as Record<string, Values>];
      const q = randomInput(rng, feeds, "q", [2, T, 2, 3]);
      const [k, v] = ["k", "v"].map((name) => randomInput(rng, feeds, name, [2, S, 2, 3]));
      const dz = randomInput(rng, feeds, "dz", [2, T, 2, 3]);
      const bias = randomInput(rng, feeds, "bias", [2, S]);
      const placed = place.options(2, bias);
      const options = { ...placed, ...(placed.causal === false ? {} : { causal: "bottom-right" as const }) };
      const z = attention(q, k, v, { ...options, align: "bottom-right" });
      const [dq, dk, dv] = grad(sumAll(multiply(z, dz)), [q, k, v]);
      const dense = (x: Tensor, key: string): DenseTensor => ({ shape: x.shape, data: feeds[key] });
      const given = [dense(q, "q"), dense(k, "k"), dense(v, "v")] as const;
      const words: OracleOptions = {
        align: "bottom-right",
        score: place.score?.(feeds, S) ?? ((s) => s),
        slope: () => 1,
        mask: place.mask,
      };
      const expected: Record<string, Values> = {
        z: attentionOracle(...given, words).z,
        ...attentionOracleGradient(...given, dense(dz, "dz"), words),
      };
      using oracle = referenceDevice({ precision: "f64" });
      const results = await evaluate(oracle, { feeds, outputs: { z, dq, dk, dv } });
      for (const key of ["z", "dq", "dk", "dv"]) {
        const error = relativeError(results[key], expected[key], 1e-3);
        assert.ok(error <= 1e-12, `${name}, T${T} S${S}, ${key}: relative error ${error}`);
      }
    }
  });
}

Deno.test("a mask with one row per query is indexed by rows, and so are documents, however the queries are aligned", async () => {
  const [rng, feeds] = [randomStream(1, "rows"), {} as Record<string, Values>];
  const [T, S] = [3, 6];
  const [q, k] = [randomInput(rng, feeds, "q", [1, T, 1, 2]), randomInput(rng, feeds, "k", [1, S, 1, 2])];
  feeds.seen = Float64Array.from({ length: T * S }, () => rng.below(2));
  feeds.of = Float64Array.of(0, 1, 1);
  feeds.among = Float64Array.of(0, 0, 1, 1, 1, 0);
  const masks = {
    seen: m.booleanMask(input("seen", [T, S])),
    documents: m.documentMask(input("of", [1, T]), input("among", [1, S])),
  };
  const outputs = Object.fromEntries(
    Object.entries(masks).flatMap(([name, mask]) =>
      (["top-left", "bottom-right"] as const).map((align) => {
        return [`${name} ${align}`, attention(q, k, k, { causal: false, align, mask })];
      })
    ),
  );
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await webgpuDevices()]) {
    const results = await evaluate(device, { feeds, outputs });
    for (const name of Object.keys(masks)) {
      assert.deepEqual(results[`${name} bottom-right`], results[`${name} top-left`], name);
    }
  }
});

Deno.test("learned keys of a layer are visible regardless of causal, window and mask, and shift no position", async () => {
  const [rng, feeds] = [randomStream(2, "learned keys"), {} as Record<string, Values>];
  const [T, S] = [2, 5];
  const weight = (name: string) => randomInput(rng, feeds, name, [4, 4]);
  const parameters = Object.fromEntries(
    ["wq", "wk", "wv", "wo"].map((name) => [`${name}.weight`, weight(name)]),
  );
  const learned = {
    ...parameters,
    extra_k: randomInput(rng, feeds, "extra_k", [1, 4]),
    extra_v: randomInput(rng, feeds, "extra_v", [1, 4]),
  };
  const x = randomInput(rng, feeds, "x", [1, S, 4]);
  feeds.last = feeds.x.slice(-T * 4);
  const last = input("last", [1, T, 4]);
  const layer = (queries: Tensor, options: Omit<AttentionOptions, "extra">) =>
    multiHeadAttention(learned, queries, x, x, { heads: 2, score: m.alibi(2), ...options });
  const outputs = {
    // A row without visible keys in range and mask sees only the learned one: wo wv' = its value.
    none: layer(x, { causal: "top-left", mask: m.prefixMask(0), score: undefined }),
    full: layer(x, { causal: "top-left", window: { size: 2 } }),
    alone: layer(last, { causal: "bottom-right", window: { size: 2 } }),
  };
  const expected = Array.from({ length: 4 }, (_, row) => {
    return Array.from(feeds.extra_v).reduce(
      (sum, value, column) => sum + value * feeds.wo[row * 4 + column],
      0,
    );
  });
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await webgpuDevices()]) {
    const results = await evaluate(device, { feeds, outputs });
    const tolerance = device === oracle ? 1e-12 : 1e-5;
    for (let row = 0; row < S; row++) {
      assert.ok(
        relativeError(results.none.subarray(4 * row, 4 * row + 4), expected) < tolerance,
        `row ${row}`,
      );
    }
    assert.ok(relativeError(results.alone, results.full.slice(-T * 4)) < tolerance, "the last rows alone");
  }
});

Deno.test("invalid alignment is an error of one line that names what fits", () => {
  const [q, k] = [input("q", [1, 2, 1, 4]), input("k", [1, 6, 1, 4])];
  const wrong = (text: RegExp, options: AttentionOptions) => {
    assert.throws(() => attention(q, k, k, options), (error) => {
      return error instanceof UserError && text.test(error.message);
    });
  };
  wrong(/align "top-left" contradicts causal "bottom-right"/, { align: "top-left", causal: "bottom-right" });
  wrong(/extra 6, expected a whole number from 0 to 5/, { extra: 6 });
  const short = m.modifier(e.plus(SCORE, e.lookup("table", [2], I)), { table: input("table", [2]) });
  wrong(/table "table" is \[2\], expected 6 \(S\)/, { score: short, causal: "bottom-right" });
});
