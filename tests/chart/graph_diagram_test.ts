// Diagrams of graphs: their content, no overlaps, and deterministic bytes.
import assert from "node:assert/strict";
import { add, multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { decoderLayer } from "../../src/check/layer_graph.ts";
import { graphDiagram } from "../../src/chart/graph_diagram.ts";
import { input, reshape, state } from "../../src/graph/structure.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import type { Architecture } from "../../src/nn/mod.ts";

const ARCHITECTURE: Architecture = {
  vocabulary: 65,
  context: 64,
  dim: 128,
  layers: 1,
  heads: 4,
  positions: "none",
  norm: "layernorm",
  bias: true,
  tied: true,
  dropout: 0,
  init: { std: 0.02, scaled_residual: true },
  block: { attention: { activation: "softmax", bias: "auto" }, mlp: { activation: "gelu", factor: 4 } },
};

function layer(): { x: Tensor; y: Tensor } {
  const x = input("resid_pre", [12, 64, 128]);
  return { x, y: decoderLayer(ARCHITECTURE, x) };
}

const textsOf = (svg: string): string[] => [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map((m) => m[1]);

/** Boxes and backgrounds of labels: every rectangle except the page. */
function rectanglesOf(svg: string) {
  const number = (text: string, name: string) => Number(text.match(new RegExp(` ${name}="([-\\d.]+)"`))![1]);
  return [...svg.matchAll(/<rect x=[^>]*>/g)].map(([text]) => {
    const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => number(text, name));
    return { left: x, top: y, right: x + width, bottom: y + height };
  });
}

function assertApart(svg: string): void {
  const all = rectanglesOf(svg);
  all.forEach((a, n) => {
    for (const b of all.slice(n + 1)) {
      const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
      assert.ok(apart, `${JSON.stringify(a)} lies on ${JSON.stringify(b)}`);
    }
  });
  const [width, height] = svg.match(/width="(\d+)" height="(\d+)"/)!.slice(1).map(Number);
  for (const { left, top, right, bottom } of all) {
    assert.ok(left >= 0 && top >= 0 && right <= width && bottom <= height, "inside the page");
  }
}

Deno.test("the diagram of a decoder layer names its operations and parameters, with shapes on the edges as real text", () => {
  const svg = graphDiagram({ resid_post: layer().y }, { title: "A layer" });
  const texts = textsOf(svg);
  for (
    const expected of [
      "A layer",
      "resid_pre",
      "resid_post",
      "ln1: norm",
      "wq: matmul",
      "attn: attention softmax",
      "wo: matmul + add",
      "fc: matmul gelu",
      "weight [512, 128]",
    ]
  ) assert.ok(texts.includes(expected), `${expected} in ${texts.join("; ")}`);
  // q, k, v and z; everything else except the inside of the MLP is the residual stream.
  assert.equal(texts.filter((text) => text === "[12, 64, 4, 32]").length, 4);
  assert.equal(texts.filter((text) => text === "[12, 64, 512]").length, 1);
  // To ln1, wq, wk, wv, wo; to ln2, proj and fc; out.
  assert.equal(texts.filter((text) => text === "[12, 64, 128]").length, 9);
  assert.equal([...svg.matchAll(/marker-end/g)].length, 14);
  assertApart(svg);
  const at = (title: string) => Number(svg.match(new RegExp(`<text x="([\\d.]+)"[^>]*>${title}<`))![1]);
  assert.ok(
    at("wq: matmul") < at("wk: matmul") && at("wk: matmul") < at("wv: matmul"),
    "q, k, v from the left",
  );
});

Deno.test("nothing overlaps in the diagram of a layer with its backward pass, with or without separate parameters", () => {
  const { x, y } = layer();
  const [dx] = grad(sumAll(multiply(y, y)), [x]);
  for (const parameters of [false, true]) assertApart(graphDiagram({ y, dx }, { parameters }));
});

Deno.test("a graph always gives the same document, regardless of graphs built before", () => {
  const build = () => graphDiagram([layer().y]);
  const first = build();
  layer();
  assert.equal(build(), first);
});

Deno.test("names are escaped, an input read twice has two arrows, and views are folded into them", () => {
  const x = input('a<b & "c"', [2, 6]);
  const svg = graphDiagram({ "x + x": add(reshape(x, [2, 2, 3]), reshape(x, [2, 2, 3])) });
  const texts = textsOf(svg);
  assert.ok(texts.includes("a&lt;b &amp; &quot;c&quot;"), texts.join("; "));
  assert.equal(texts.filter((text) => text === "[2, 2, 3]").length, 3);
  assert.ok(!texts.some((text) => text.includes("view")));
});

Deno.test("a state is in the box that reads it, or in a separate box if requested or an output", () => {
  const weight = state("blocks.0.scale", [6]);
  const y = multiply(input("x", [2, 6]), weight);
  assert.ok(textsOf(graphDiagram({ y })).includes("scale [6]"));
  assert.ok(textsOf(graphDiagram({ y }, { parameters: true })).includes("blocks.0.scale"));
  assert.ok(textsOf(graphDiagram({ weight })).includes("blocks.0.scale"));
});
